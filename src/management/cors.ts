// Which web pages of other origins browsers let use the HTTP API. RabbitMQ's headers.
import type { IncomingHttpHeaders } from 'node:http'

/** Who may, and for how long browsers may remember that. */
export interface CrossOrigins {
  /** As `https://example.org`; `*` stands for every origin. */
  readonly origins: readonly string[]
  readonly maxAgeSeconds: number
}

type Headers = Readonly<Record<string, string>>

/** The headers of every answer to a page of an origin that is allowed; none for others. */
export function corsHeaders({ origins }: CrossOrigins, { origin }: IncomingHttpHeaders): Headers {
  if (origin === undefined || !(origins.includes(origin) || origins.includes('*'))) return {}
  return { 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true' }
}

/** What is added to that when a browser asks before it sends a request with one of these methods. */
export function preflightHeaders(cors: CrossOrigins, headers: IncomingHttpHeaders, methods: string): Headers {
  if (Object.keys(corsHeaders(cors, headers)).length === 0) return {}
  const asked = headers['access-control-request-headers']
  return {
    'access-control-allow-methods': methods,
    'access-control-max-age': String(cors.maxAgeSeconds),
    ...(typeof asked === 'string' ? { 'access-control-allow-headers': asked } : {}),
  }
}
