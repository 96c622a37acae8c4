// The HTTP API. Imports core and lib, and no front end: what AMQP knows comes through core.
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Tag, User } from '../core/access.ts'
import type { Broker } from '../core/broker.ts'
import { BrokerError } from '../core/errors.ts'
import type { Clock } from '../lib/clock.ts'
import { Authentication } from './authentication.ts'
import { isObject, parseObject } from './body.ts'
import { compressed } from './compression.ts'
import { badRequest, fromBrokerError, HttpError, notAuthorised, notFound, type JsonObject } from './http-error.ts'
import { cutToColumns, Listing } from './listing.ts'
import { Rates } from './rates.ts'
import { Reply, Text, TextStream, type Answer, type Management, type Node, type Route } from './route.ts'
import { LoopDelay } from './metrics/loop-delay.ts'
import { metricsRoutes } from './metrics/metrics-routes.ts'
import { routes } from './routes/routes.ts'

/** Where metrics are served for scrapers, without credentials and with nothing else. */
interface ScrapeOptions {
  readonly host?: string | undefined
  readonly port: number
}

/** Where and for what the API is started. */
export interface ManagementOptions {
  readonly broker: Broker
  readonly clock: Clock
  readonly node: Node
  /** Absent: every interface. */
  readonly host?: string | undefined
  /** 0 picks a free one. */
  readonly port: number
}

/** RabbitMQ's management.http.max_body_size. */
const BODY_BYTES_MAX = 10_000_000
/** A segment of a path: names have 255 bytes, each of which may be encoded twice, and connections have two addresses. */
const PARAMETER_LENGTH_MAX = 255 * 5
const METHODS = ['GET', 'PUT', 'POST', 'DELETE', 'PATCH'] as const
const REALM = 'Basic realm="RabbitMQ Management"'

/** RabbitMQ's words for somebody whose tags do not suffice. */
const REFUSALS: { readonly [T in Tag]: string } = {
  management: 'Not management user',
  policymaker: 'Not policymaker user',
  monitoring: 'Not monitor user',
  administrator: 'Not administrator user',
}

const SECURITY_HEADERS = {
  'cache-control': 'no-cache',
  'content-security-policy': "script-src 'self'; object-src 'self'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  vary: 'accept, accept-encoding, origin',
}

/** Serves the API until it is closed. */
export class ManagementServer {
  readonly #app: FastifyInstance
  readonly #management: Management
  readonly #rates: Rates
  readonly #loopDelay: LoopDelay
  readonly #authentication: Authentication
  readonly #scrapes: FastifyInstance

  private constructor({ broker, clock, node }: ManagementOptions) {
    this.#rates = new Rates(broker, clock)
    this.#loopDelay = new LoopDelay(clock)
    this.#authentication = new Authentication(broker.access, clock)
    this.#management = {
      broker,
      clock,
      node,
      rates: this.#rates,
      ages: this.#rates.ages,
      loopDelay: this.#loopDelay,
      authentication: this.#authentication,
    }
    this.#app = this.#application([...routes, ...metricsRoutes('monitoring')])
    this.#scrapes = this.#application(metricsRoutes('nobody'))
  }

  #newApplication(): FastifyInstance {
    return fastify({
      bodyLimit: BODY_BYTES_MAX,
      forceCloseConnections: true,
      exposeHeadRoutes: false,
      routerOptions: { ignoreTrailingSlash: true, maxParamLength: PARAMETER_LENGTH_MAX },
      frameworkErrors: (error, _request, reply) => void this.#failed(error, reply),
    })
  }

  /** Starts to listen. Rejects with Node's system error. */
  static async listen(options: ManagementOptions): Promise<ManagementServer> {
    const server = new ManagementServer(options)
    server.#rates.start()
    server.#loopDelay.start()
    try {
      await server.#scrapes.ready()
      await server.#listen(server.#app, options)
    } catch (error) {
      server.#rates.stop()
      server.#loopDelay.stop()
      throw error
    }
    return server
  }

  get port(): number {
    return portOf(this.#app)
  }

  /** The port that metrics are scraped from, if that was asked for. */
  get scrapePort(): number | null {
    return this.#scrapes.server.listening ? portOf(this.#scrapes) : null
  }

  /** Serves the API on a connection that was accepted elsewhere, such as one over TLS. */
  accept(socket: Socket): void {
    this.#app.server.emit('connection', socket)
  }

  /** Serves metrics on such a connection. */
  acceptScrape(socket: Socket): void {
    this.#scrapes.server.emit('connection', socket)
  }

  /** Serves metrics on a port of their own. Rejects with Node's system error. */
  async listenForScrapes(options: ScrapeOptions): Promise<void> {
    await this.#listen(this.#scrapes, options)
  }

  async #listen(app: FastifyInstance, options: ScrapeOptions): Promise<void> {
    await listen(app, options)
    const { logger } = this.#management.broker
    app.server.on('error', (error) => logger.error({ err: error }, 'a connection to the HTTP API cannot be accepted'))
  }

  async close(): Promise<void> {
    this.#rates.stop()
    this.#loopDelay.stop()
    await Promise.all([this.#app.close(), this.#scrapes.close()])
  }

  #application(served: readonly Route[]): FastifyInstance {
    const app = this.#newApplication()
    // Bodies are read by the routes: RabbitMQ takes JSON under any content type, or none.
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
    app.addHook('onRequest', (_request, reply, done) => {
      reply.headers(SECURITY_HEADERS)
      done()
    })
    app.addHook('onSend', (request, reply, payload, done) => done(null, compressed(request, reply, payload)))
    app.setErrorHandler((error, _request, reply) => this.#failed(error, reply))
    app.setNotFoundHandler((_request, reply) => this.#failed(notFound(), reply))
    const paths = new Map<string, Set<string>>()
    for (const route of served) {
      const methods = paths.get(route.path) ?? new Set()
      paths.set(route.path, methods.add(route.method))
      app.route({
        method: route.method === 'GET' ? ['GET', 'HEAD'] : route.method,
        url: route.path,
        ...(route.bodyBytesMax === undefined ? {} : { bodyLimit: route.bodyBytesMax }),
        onRequest: async (request) => this.#authorise(request, route),
        handler: async (request, reply) => this.#serve(request, reply, route),
      })
    }
    for (const [path, methods] of paths) otherMethods(app, path, methods)
    return app
  }

  /** Finds out who asks, and whether they have the tag. Throws HttpError 401. */
  async #authorise(request: FastifyRequest, route: Route): Promise<void> {
    if (route.needs === 'nobody') return
    const user = await this.#authentication.user(request.headers.authorization, request.ip)
    if (user === null) throw new HttpError(401, '', '')
    const { access } = this.#management.broker
    if (!access.tagged(user, 'management')) throw notAuthorised(REFUSALS.management)
    if (!access.tagged(user, route.needs)) throw notAuthorised(REFUSALS[route.needs])
    senders.set(request, user)
  }

  async #serve(request: FastifyRequest, reply: FastifyReply, route: Route): Promise<FastifyReply> {
    if (!acceptable(request.headers.accept)) return reply.code(406).send()
    if (!readable(request.headers['content-type'], route)) return reply.code(415).send()
    const bytes = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
    const query = queryOf(request)
    const answer = await route.handle({
      ...this.#management,
      user: senders.get(request) ?? NOBODY,
      params: request.params as Readonly<Record<string, string>>,
      query,
      all: (parameter) => valuesOf(request, parameter),
      headers: request.headers,
      address: request.ip,
      bytes,
      body: () => parseObject(bytes),
    })
    return send(reply, answer, query)
  }

  #failed(error: unknown, reply: FastifyReply): FastifyReply {
    const failure = this.#httpError(error)
    if (failure.status === 401 && failure.error !== 'not_authorised') reply.header('www-authenticate', REALM)
    reply.code(failure.status)
    if (failure.error === '') return reply.send()
    return sendJson(reply, { error: failure.error, reason: failure.reason })
  }

  #httpError(error: unknown): HttpError {
    if (error instanceof HttpError) return error
    if (error instanceof BrokerError) return fromBrokerError(error)
    const { statusCode, code } = error as { statusCode?: unknown; code?: unknown }
    if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return badRequest('Exceeded HTTP request body size limit')
    if (typeof statusCode === 'number' && statusCode < 500) return badRequest((error as Error).message)
    this.#management.broker.logger.error({ err: error }, 'a request to the HTTP API failed')
    return new HttpError(500, 'internal_error', 'The request could not be served. The log of the broker says more.')
  }
}

async function listen(app: FastifyInstance, { host, port }: ScrapeOptions): Promise<void> {
  if (host !== undefined) {
    await app.listen({ host, port })
    return
  }
  try {
    await app.listen({ host: '::', port })
  } catch (error) {
    // A machine without IPv6 has only the one family to listen on.
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL') throw error
    await app.listen({ host: '0.0.0.0', port })
  }
}

/** The methods that a path does not have; and OPTIONS, which is for everybody. */
function otherMethods(app: FastifyInstance, path: string, methods: ReadonlySet<string>): void {
  const allow = [...methods, ...(methods.has('GET') ? ['HEAD'] : []), 'OPTIONS'].join(', ')
  const missing = METHODS.filter((method) => !methods.has(method))
  app.route({
    method: missing,
    url: path,
    handler: async (_request, reply) => reply.code(405).header('allow', allow).send(),
  })
  app.route({
    method: 'OPTIONS',
    url: path,
    handler: async (_request, reply) => reply.code(200).header('allow', allow).send(),
  })
}

function portOf(app: FastifyInstance): number {
  const address = app.server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

const NOBODY: User = { name: '', tags: [] }
/** Who sent a request, once that is known. */
const senders = new WeakMap<FastifyRequest, User>()

async function send(reply: FastifyReply, answer: Answer, query: Readonly<Record<string, string | undefined>>) {
  if (answer instanceof Reply) {
    reply.code(answer.status).headers(answer.headers)
    return answer.body === undefined ? reply.send() : sendJson(reply, answer.body)
  }
  if (answer instanceof Text) return reply.type('text/plain').send(answer.text)
  if (answer instanceof TextStream) {
    return reply.type(answer.type).headers(answer.headers).send(Readable.from(answer.pieces))
  }
  if (!(answer instanceof Listing)) {
    const json = answer as JsonObject
    return sendJson(reply, isObject(json) ? cutToColumns(json, query) : json)
  }
  const listed = await answer.answer(query)
  if ('page' in listed) return sendJson(reply, listed.page)
  return reply.type('application/json').send(Readable.from(listed.rows))
}

function sendJson(reply: FastifyReply, value: unknown): FastifyReply {
  return reply.type('application/json').send(JSON.stringify(value))
}

function valuesOf(request: FastifyRequest, parameter: string): readonly string[] {
  const value = (request.query as Record<string, string | string[] | undefined>)[parameter]
  return value === undefined ? [] : Array.isArray(value) ? value : [value]
}

/** The last of several values of a parameter counts. */
function queryOf(request: FastifyRequest): Readonly<Record<string, string | undefined>> {
  const query: Record<string, string | undefined> = {}
  for (const [key, value] of Object.entries(request.query as Record<string, string | string[]>)) {
    query[key] = Array.isArray(value) ? value.at(-1) : value
  }
  return query
}

/** Whether a body of this type is what the route takes. */
function readable(type: string | undefined, { bodyTypes }: Route): boolean {
  if (bodyTypes === undefined || type === undefined || type === '') return true
  return bodyTypes.includes(type.split(';', 1)[0]!.trim().toLowerCase())
}

/** Everything is JSON, or metrics as text. RabbitMQ: who cannot take that is told so. */
function acceptable(accept: string | undefined): boolean {
  return accept === undefined || accept === '' || /\*\/\*|application\/\*|application\/json|text\/plain/.test(accept)
}
