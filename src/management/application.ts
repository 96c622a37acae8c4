// What serves the HTTP API: fastify with our routes, and our rules about who may ask for what in which form.
import { Readable } from 'node:stream'
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Tag, User } from '../core/access.ts'
import { BrokerError } from '../core/errors.ts'
import type { Slices } from '../lib/slices.ts'
import { isObject, parseObject } from './body.ts'
import { compressed } from './compression.ts'
import { badRequest, fromBrokerError, HttpError, notAuthorised, notFound, type JsonObject } from './http-error.ts'
import { corsHeaders, preflightHeaders, type CrossOrigins } from './cors.ts'
import { cutToColumns, Listing } from './listing.ts'
import { Reply, Text, TextStream, type Answer, type Management, type Route } from './route.ts'
import { metricsRoutes } from './metrics/metrics-routes.ts'
import { routes } from './routes/routes.ts'

/** How much more than other bodies a file with definitions may have. */
const LARGE = 5
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

/** Which of our routes an application serves. */
export type Served = 'api' | 'scrapes'

/** Makes an application, which listens nowhere. */
export function application(management: Management, served: Served): FastifyInstance {
  return new Application(management).serving(served)
}

const servedRoutes: { readonly [S in Served]: readonly Route[] } = {
  api: [...routes, ...metricsRoutes('monitoring')],
  scrapes: metricsRoutes('nobody'),
}

/** The rules that hold for every route. */
class Application {
  readonly #management: Management

  constructor(management: Management) {
    this.#management = management
  }

  serving(served: Served): FastifyInstance {
    const app = this.#empty()
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
    app.setNotFoundHandler((_request, reply) => this.#failed(notFound(), reply))
    const paths = new Map<string, Set<string>>()
    for (const route of servedRoutes[served]) {
      const path = `${prefix}${route.path}`
      const methods = paths.get(path) ?? new Set()
      paths.set(path, methods.add(route.method))
      app.route({
        method: route.method === 'GET' ? ['GET', 'HEAD'] : route.method,
        url: path,
        bodyLimit: this.#bodyBytesMax(route),
        onRequest: async (request) => this.#authorise(request, route),
        handler: async (request, reply) => this.#serve(request, reply, route),
      })
    }
    for (const [path, methods] of paths) otherMethods(app, path, methods, crossOrigins)
    return app
  }

  #empty(): FastifyInstance {
    return fastify({
      forceCloseConnections: true,
      exposeHeadRoutes: false,
      routerOptions: { ignoreTrailingSlash: true, maxParamLength: PARAMETER_LENGTH_MAX },
      frameworkErrors: (error, _request, reply) => void this.#failed(error, reply),
    })
  }

  #bodyBytesMax({ bodyBytesMax, large }: Route): number {
    const most = this.#management.node.bodyBytesMax
    return large === true ? LARGE * most : Math.min(bodyBytesMax ?? most, most)
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
    if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return badRequest('Exceeded HTTP request body size limit')
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

/** The methods that a path does not have; and OPTIONS, which is for everybody. */
function otherMethods(
  app: FastifyInstance,
  path: string,
  methods: ReadonlySet<string>,
  crossOrigins: CrossOrigins,
): void {
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
    handler: async ({ headers }, reply) =>
      reply
        .code(200)
        .header('allow', allow)
        .headers(preflightHeaders(crossOrigins, headers, allow))
        .send(),
  })
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
