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

/** The types of a body that a page may send to wherever it likes, without asking first (the Fetch standard). */
const FORM_TYPES: ReadonlySet<string> = new Set([
  ...['', 'text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data'],
])

/**
 * Lets nobody change anything through the browser of somebody else. A form of any page may send a POST, to which the
 * browser adds the login that it knows, without asking first; but it tells where the page is from.
 * @throws HttpError 403 for a page of an origin that is not allowed
 */
export function assertMayChange(cors: CrossOrigins, headers: IncomingHttpHeaders): void {
  if (!foreign(headers) || allowed(cors, headers.origin ?? 'null')) return
  throw new HttpError(403, 'forbidden', 'Pages of this origin may not change anything here')
}

/**
 * Whether a browser sends this for a page of another origin. It says so itself where it trusts the connection; elsewhere
 * it gives the origin of the page, which is beside the name that it asks for. That may be another one behind a proxy, so
 * it counts only for what a browser sends without asking.
 */
function foreign({ origin, host = '', ...headers }: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site === 'cross-site' || site === 'same-site'
  if (origin === undefined || !FORM_TYPES.has(mediaType(headers['content-type']))) return false
  // A page cannot set this one.
  const forwarded = headers['x-forwarded-host']
  const hosts = [host, ...(typeof forwarded === 'string' ? forwarded.split(',') : [])]
  return !hosts.some((name) => hostOf(`${schemeOf(origin)}//${name.trim()}`) === hostOf(origin))
}

function mediaType(type = ''): string {
  return type.split(';', 1)[0]!.trim().toLowerCase()
}

/** With its colon; one that leads to no host where the origin is none, as `null` is. */
function schemeOf(origin: string): string {
  return origin.slice(0, origin.indexOf(':') + 1)
}

/** The name and, unless it is the usual one, the port; the text itself where it is no address. */
function hostOf(address: string): string {
  return URL.canParse(address) ? new URL(address).host : address
}

function allowed({ origins }: CrossOrigins, origin: string): boolean {
  return origins.includes(origin) || origins.includes('*')
}
