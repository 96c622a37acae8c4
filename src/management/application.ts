// What serves the HTTP API: fastify with our routes, and our rules about who may ask for what in which form.
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Tag, User } from '../core/access.ts'
import { BrokerError } from '../core/errors.ts'
import type { Slices } from '../lib/slices.ts'
import { isObject, parseObject } from './body.ts'
import { assertReadable, AT_ONCE_BYTES } from './body-outline.ts'
import { compressed } from './compression.ts'
import { badRequest, fromBrokerError, HttpError, notAuthorised, notFound, type JsonObject } from './http-error.ts'
import { assertMayChange, corsHeaders, preflightHeaders } from './cors.ts'
import { cutToColumns, Listing } from './listing.ts'
import { Reply, Text, TextStream, type Answer, type Management, type Route } from './route.ts'
import { loadFastify } from './load-fastify.ts'
import { metricsRoutes } from './metrics/metrics-routes.ts'
import { loadRoutes } from './routes/routes.ts'

/** How much more than other bodies a file with definitions may have. */
const LARGE = 5
/** What other bodies have is a few names and values; so much of it is read at once, in some milliseconds. */
const BODY_BYTES_MAX = 1024 * 1024
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

/** No route has a schema. Without this, compilers for them would be loaded, which are half of all there is to load. */
const WITHOUT_SCHEMAS = { compilersFactory: { buildValidator: noCompiler, buildSerializer: noCompiler } }

function noCompiler(): never {
  throw new Error('no route has a schema')
}

const SECURITY_HEADERS = {
  'cache-control': 'no-cache',
  'content-security-policy': "script-src 'self'; object-src 'self'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  vary: 'accept, accept-encoding, origin',
}

/** Which of our routes an application serves. */
export type Served = 'api' | 'scrapes'

/** Makes an application, which listens nowhere, in slices. */
export async function application(management: Management, served: Served): Promise<FastifyInstance> {
  const { slices, node } = management
  const routes =
    served === 'api'
      ? [...(await loadRoutes(slices)), ...metricsRoutes('monitoring')]
      : metricsRoutes('nobody', node.prometheusPath)
  return new Application(management, served).serving(routes)
}

/** The rules that hold for every route. */
class Application {
  readonly #management: Management
  readonly #served: Served

  constructor(management: Management, served: Served) {
    this.#management = management
    this.#served = served
  }

  async serving(routes: readonly Route[]): Promise<FastifyInstance> {
    const { slices } = this.#management
    const served = this.#served
    const app = await this.#empty()
    // Bodies are read by the routes: RabbitMQ takes JSON under any content type, or none.
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
    const { crossOrigins, pathPrefix } = this.#management.node
    const prefix = served === 'api' ? pathPrefixOf(pathPrefix) : ''
    app.addHook('onRequest', (request, reply, done) => {
      reply.headers(SECURITY_HEADERS)
      if (served === 'api') reply.headers(corsHeaders(crossOrigins, request.headers))
      done()
    })
    app.addHook('onSend', (request, reply, payload, done) => done(null, compressed(request, reply, payload)))
    app.setErrorHandler((error, _request, reply) => this.#failed(error, reply))
    app.setNotFoundHandler((request, reply) => {
      // RabbitMQ: what is no endpoint may be a page of its interface, and can be asked for as such.
      if (request.method === 'OPTIONS') return reply.header('allow', 'GET, HEAD, OPTIONS').send()
      return this.#failed(notFound(), reply)
    })
    for (const [path, byMethod] of byPath(routes)) {
      if (slices.over) {
        // What was begun with the routes so far is done now, and not all at once at the end.
        await app.after()
        await slices.next()
      }
      this.#add(app, `${prefix}${path}`, byMethod)
    }
    return app
  }

  /** All the methods of a path are one route to fastify, for which each is much work. */
  #add(app: FastifyInstance, path: string, routes: ReadonlyMap<string, Route>): void {
    const { crossOrigins } = this.#management.node
    const got = routes.has('GET')
    const allow = [...routes.keys(), ...(got ? ['HEAD'] : []), 'OPTIONS'].join(', ')
    const routeOf = ({ method }: FastifyRequest): Route | undefined => routes.get(method === 'HEAD' ? 'GET' : method)
    app.route({
      method: [...METHODS, 'OPTIONS', ...(got ? ['HEAD'] : [])],
      url: path,
      bodyLimit: Math.max(...Array.from(routes.values(), (route) => this.#bodyBytesMax(route))),
      onRequest: async (request, reply) => {
        const route = routeOf(request)
        if (route !== undefined) {
          if (route.method !== 'GET') assertMayChange(crossOrigins, request.headers)
          return this.#authorise(request, route)
        }
        // Anybody may ask for these: they are answered before a body is read.
        reply.header('allow', allow)
        if (request.method !== 'OPTIONS') return reply.code(405).send()
        return reply.headers(preflightHeaders(crossOrigins, request.headers, allow)).send()
      },
      handler: async (request, reply) => this.#serve(request, reply, routeOf(request)!),
    })
  }

  async #empty(): Promise<FastifyInstance> {
    const fastify = await loadFastify(this.#management.slices)
    return fastify({
      schemaController: WITHOUT_SCHEMAS,
      forceCloseConnections: true,
      exposeHeadRoutes: false,
      routerOptions: { ignoreTrailingSlash: true, maxParamLength: PARAMETER_LENGTH_MAX },
      frameworkErrors: (error, _request, reply) => void this.#failed(error, reply),
    })
  }

  #bodyBytesMax({ bodyBytesMax = BODY_BYTES_MAX, long }: Route): number {
    const most = this.#management.node.bodyBytesMax
    return long === 'lists' ? LARGE * most : Math.min(long === 'text' ? Infinity : bodyBytesMax, most)
  }

  /** Finds out who asks, and whether they have the tag. Throws HttpError 401. */
  async #authorise(request: FastifyRequest, route: Route): Promise<void> {
    if (route.needs === 'nobody') return
    const user = await this.#management.authentication.user(request.headers.authorization, request.ip)
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
    // Another route of the path may take more.
    if (bytes.length > this.#bodyBytesMax(route)) throw tooLarge()
    // What is long is read in slices by the route.
    if (bytes.length > AT_ONCE_BYTES && route.long === undefined) await assertReadable(bytes, this.#management.slices)
    // What queues hold is known some time after a start.
    if (route.anytime !== true) await this.#management.rates.begun
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
    return send(reply, answer, query, this.#management.slices)
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
    if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return tooLarge()
    if (typeof statusCode === 'number' && statusCode < 500) return badRequest((error as Error).message)
    this.#management.broker.logger.error({ err: error }, 'a request to the HTTP API failed')
    return new HttpError(500, 'internal_error', 'The request could not be served. The log of the broker says more.')
  }
}

/** As `/rabbit`: with a slash before, and none behind. */
function pathPrefixOf(prefix: string): string {
  const inner = prefix.replaceAll(/^\/+|\/+$/g, '')
  return inner === '' ? '' : `/${inner}`
}

/** The routes of each path, by their methods. */
function byPath(routes: readonly Route[]): ReadonlyMap<string, ReadonlyMap<string, Route>> {
  const paths = new Map<string, Map<string, Route>>()
  for (const route of routes) {
    const methods = paths.get(route.path) ?? new Map<string, Route>()
    paths.set(route.path, methods.set(route.method, route))
  }
  return paths
}

function tooLarge(): HttpError {
  return badRequest('Exceeded HTTP request body size limit')
}

const NOBODY: User = { name: '', tags: [] }
/** Who sent a request, once that is known. */
const senders = new WeakMap<FastifyRequest, User>()

async function send(
  reply: FastifyReply,
  answer: Answer,
  query: Readonly<Record<string, string | undefined>>,
  slices: Slices,
) {
  if (answer instanceof Reply) {
    reply.code(answer.status).headers(answer.headers)
    if (answer.sent !== null) reply.raw.once('close', answer.sent)
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
  const listed = await answer.answer(query, slices)
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
