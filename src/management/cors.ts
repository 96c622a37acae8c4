// Which web pages of other origins browsers let use the HTTP API. RabbitMQ's headers.
import type { IncomingHttpHeaders } from 'node:http'
import { HttpError } from './http-error.ts'

/** Who may, and for how long browsers may remember that. */
export interface CrossOrigins {
  /** As `https://example.org`; `*` stands for every origin. */
  readonly origins: readonly string[]
  readonly maxAgeSeconds: number
}

type Headers = Readonly<Record<string, string>>

/** The headers of every answer to a page of an origin that is allowed; none for others. */
export function corsHeaders(cors: CrossOrigins, { origin }: IncomingHttpHeaders): Headers {
  if (origin === undefined || !allowed(cors, origin)) return {}
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

/**
 * Lets nobody change anything through the browser of somebody else. A form of any page may send a POST, to which the
 * browser adds the login that it knows, without asking first; but it tells where the page is from.
 * @throws HttpError 403 for a page of an origin that is not allowed
 */
export function assertMayChange(cors: CrossOrigins, headers: IncomingHttpHeaders): void {
  const site = headers['sec-fetch-site']
  if (site !== 'cross-site' && site !== 'same-site') return
  if (allowed(cors, headers.origin ?? 'null')) return
  throw new HttpError(403, 'forbidden', 'Pages of this origin may not change anything here')
}

function allowed({ origins }: CrossOrigins, origin: string): boolean {
  return origins.includes(origin) || origins.includes('*')
}
