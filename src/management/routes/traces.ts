// Traces of messages, and the files that they write (RabbitMQ: its plugin for tracing).
import { assertPresent, stringField } from '../body.ts'
import { badRequest, HttpError, notAuthorised, notFound, type Json, type JsonObject } from '../http-error.ts'
import { Listing, viewOf } from '../listing.ts'
import { CREATED, isThisNode, NO_CONTENT, TextStream, targetVHost, vhostOf, type Call, type Route } from '../route.ts'
import { TRACE_FORMATS } from '../traces/trace-line.ts'
import type { Trace, TraceTerms } from '../traces/trace.ts'
import type { TraceLog } from '../traces/trace-log.ts'
import type { User } from '../../core/access.ts'
import { queueColumns } from '../views/topology.ts'

export const traceRoutes: readonly Route[] = [
  ...tracesUnder('/api/traces', here),
  ...tracesUnder('/api/traces/node/:node', onNode),
  ...filesUnder('/api/trace-files', here),
  ...filesUnder('/api/trace-files/node/:node', onNode),
]

type Handler = Route['handle']
/** Looks at where a request is sent to, before it is served. */
type Place = (handle: Handler) => Handler

function here(handle: Handler): Handler {
  return handle
}

/** The same for those who name the node. Throws 400 for another one, which nobody could ask. */
function onNode(handle: Handler): Handler {
  return (call) => {
    const node = call.params['node'] ?? ''
    if (isThisNode(call.node, node)) return handle(call)
    throw badRequest(`Node ${node} could not be contacted: {badrpc,nodedown}`)
  }
}

function tracesUnder(path: string, place: Place): readonly Route[] {
  const one = `${path}/:vhost/:name`
  return [
    { method: 'GET', path, needs: 'administrator', handle: place(list) },
    { method: 'GET', path: `${path}/:vhost`, needs: 'administrator', handle: place(listInVHost) },
    { method: 'GET', path: one, needs: 'administrator', handle: place((call) => traceJson(call, traceOf(call))) },
    { method: 'PUT', path: one, needs: 'administrator', handle: place(start) },
    { method: 'DELETE', path: one, needs: 'administrator', handle: place(stop) },
  ]
}

function filesUnder(path: string, place: Place): readonly Route[] {
  const one = `${path}/:name`
  return [
    { method: 'GET', path, needs: 'administrator', handle: place(files) },
    { method: 'GET', path: one, needs: 'administrator', handle: place(download) },
    { method: 'DELETE', path: one, needs: 'administrator', handle: place(removeFile) },
  ]
}

function list(call: Call) {
  return new Listing(call.traces.all, (trace) => traceJson(call, trace), false)
}

function listInVHost(call: Call) {
  const { name } = vhostOf(call)
  const inside = [...call.traces.all].filter(({ vhost }) => vhost === name)
  return new Listing(inside, (trace) => traceJson(call, trace), false)
}

/** The trace of the path. Throws 404. */
function traceOf(call: Call): Trace {
  const trace = call.traces.get(vhostOf(call).name, call.params['name'] ?? '')
  if (trace === undefined) throw notFound()
  return trace
}

function traceJson(call: Call, { terms, vhost, queue }: Trace): JsonObject {
  const { name, format, pattern, payloadBytesMax, user } = terms
  return {
    queue: viewOf(queueColumns(call)).row(queue),
    vhost,
    name,
    format,
    pattern,
    ...(payloadBytesMax === Infinity ? {} : { max_payload_bytes: payloadBytesMax }),
    ...(user === null ? {} : { tracer_connection_username: user }),
  }
}

async function start(call: Call) {
  const vhost = targetVHost(call)
  const terms = termsOf(call.params['name'] ?? '', call.body())
  const { access } = call.broker
  const user = terms.user === null ? call.user : await namedUser(call, terms.user)
  if (!access.mayOpen(user.name, vhost.name)) throw notAuthorised('Access refused.')
  const session = call.broker.openSession(user, vhost)
  try {
    call.traces.start(session, terms)
  } catch (error) {
    session.close()
    throw error
  }
  return CREATED
}

/** Throws 400 with RabbitMQ's words where it has some. */
function termsOf(name: string, body: JsonObject): TraceTerms {
  assertPresent(body, 'format', 'pattern')
  const payloadBytesMax = payloadBytesOf(body['max_payload_bytes'])
  const format = TRACE_FORMATS.find((known) => known === body['format'])
  if (format === undefined) throw badRequest('format not json or text')
  const pattern = stringField(body, 'pattern')
  const user = stringField(body, 'tracer_connection_username', '')
  return { name, format, pattern, payloadBytesMax, user: user === '' ? null : user }
}

/** RabbitMQ: absent stands for all of them. */
function payloadBytesOf(value: Json | undefined): number {
  if (value === undefined || value === null) return Infinity
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw badRequest('max_payload_bytes not integer')
  if (value < 0) throw badRequest('max_payload_bytes is negative')
  return value
}

/** The user who is named to listen, and must be able to log in. Nobody named: it is who asks. */
async function namedUser(call: Call, name: string): Promise<User> {
  const password = stringField(call.body(), 'tracer_connection_password', '')
  try {
    return await call.authentication.login(name, password, call.address)
  } catch (error) {
    if (!(error instanceof HttpError) || error.status !== 401) throw error
    throw badRequest('tracer_connection_username cannot log in with tracer_connection_password')
  }
}

function stop(call: Call) {
  call.traces.stop(traceOf(call))
  return NO_CONTENT
}

function files(call: Call) {
  return new Listing([...call.traces.files], ([name, { bytes }]) => ({ name, size: bytes }), false)
}

/** The file of the path. Throws 404. */
function fileOf(call: Call): TraceLog {
  const file = call.traces.files.get(call.params['name'] ?? '')
  if (file === undefined) throw notFound()
  return file
}

function download(call: Call) {
  return new TextStream('text/plain', fileOf(call).lines())
}

/** RabbitMQ: a trace that runs goes on; what it writes from here on is lost with the file. */
function removeFile(call: Call) {
  fileOf(call)
  call.traces.files.delete(call.params['name'] ?? '')
  return NO_CONTENT
}
