// A broker with its HTTP API, in memory, and a client for it.
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import { startServer, type Server } from '../../src/server.ts'

/** What came back: the body as JSON, or as text where it is none. */
export interface Response {
  readonly status: number
  readonly headers: Headers
  // What a test finds there, it expects of it.
  readonly body: Body
}

export interface Body {
  readonly [key: string]: Body
  readonly [index: number]: Body
}

/** A body that is a list. */
export function items(body: Body | undefined): readonly Body[] {
  if (!Array.isArray(body)) throw new TypeError(`not a list: ${JSON.stringify(body)}`)
  return body as readonly Body[]
}

export interface Request {
  readonly user?: string
  readonly password?: string
  readonly body?: unknown
  /** A body as it is. */
  readonly raw?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** A body that is a text. */
export function word(body: Body | undefined): string {
  if (typeof body !== 'string') throw new TypeError(`not a text: ${JSON.stringify(body)}`)
  return body
}

/** Starts a broker with its API for the tests of a file. */
export function useApi(): Api {
  const api = new Api()
  beforeAll(() => api.start())
  afterAll(() => api.stop())
  return api
}

export class Api {
  readonly clock = new ManualClock()
  server!: Server

  async start(): Promise<void> {
    this.server = await startServer({
      host: '127.0.0.1',
      managementHost: '127.0.0.1',
      managementPort: 0,
      prometheusPort: 0,
      clock: this.clock,
    })
  }

  async stop(): Promise<void> {
    await this.server.close()
  }

  get port(): number {
    return this.server.ports.management!
  }

  get amqp(): string {
    return `amqp://guest:guest@127.0.0.1:${this.server.ports.amqp}`
  }

  get(path: string, request?: Request): Promise<Response> {
    return this.call('GET', path, request)
  }

  put(path: string, body: unknown = {}, request?: Request): Promise<Response> {
    return this.call('PUT', path, { ...request, body })
  }

  post(path: string, body: unknown = {}, request?: Request): Promise<Response> {
    return this.call('POST', path, { ...request, body })
  }

  delete(path: string, request?: Request): Promise<Response> {
    return this.call('DELETE', path, request)
  }

  /** A request as guest, unless another user is named; `''` sends no credentials. */
  async call(method: string, path: string, options: Request = {}): Promise<Response> {
    const { user = 'guest', password = user, body, raw, headers } = options
    const credentials = Buffer.from(`${user}:${password}`).toString('base64')
    // Not fetch: it resolves `..` in paths by itself.
    const request = httpRequest({
      host: '127.0.0.1',
      port: this.port,
      method,
      path,
      headers: { ...(user === '' ? {} : { authorization: `Basic ${credentials}` }), ...headers },
    })
    const sent = raw ?? (body === undefined ? undefined : JSON.stringify(body))
    // Node would not say of a DELETE how long its body is, which would then be taken for the next request.
    if (sent !== undefined) request.setHeader('content-length', Buffer.byteLength(sent))
    request.end(sent)
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    const received = await text(response)
    const json = response.headers['content-type']?.startsWith('application/json') ?? false
    return {
      status: response.statusCode ?? 0,
      headers: new Headers(response.headers as Record<string, string>),
      body: (json && received !== '' ? JSON.parse(received) : received) as Body,
    }
  }
}
