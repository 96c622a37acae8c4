// What operators change of a running node. RabbitMQ has it in rabbitmqctl only. It holds until the broker stops.
import type { ResourceLimits } from '../../core/resources.ts'
import { collectGarbage } from '../../lib/garbage.ts'
import { LOG_LEVELS, levelNamed } from '../../lib/log.ts'
import { memoryBytes } from '../../lib/machine.ts'
import { StartError } from '../../lib/start-error.ts'
import { assertPresent, stringField } from '../body.ts'
import { badRequest, HttpError, type JsonObject } from '../http-error.ts'
import { assertThisNode, NO_CONTENT, Reply, type Call, type Route } from '../route.ts'

const NODE = '/api/nodes/:node'

export const nodeRoutes: readonly Route[] = [
  { method: 'PUT', path: `${NODE}/limits`, needs: 'administrator', handle: limit },
  { method: 'PUT', path: `${NODE}/log-level`, needs: 'administrator', handle: setLogLevel },
  { method: 'PUT', path: `${NODE}/stop`, needs: 'administrator', handle: stop },
  { method: 'PUT', path: `${NODE}/listeners/suspend`, needs: 'administrator', handle: suspendListeners },
  { method: 'PUT', path: `${NODE}/listeners/resume`, needs: 'administrator', handle: resumeListeners },
  { method: 'POST', path: `${NODE}/collect-garbage`, needs: 'administrator', handle: collect },
]

/** How many times the memory of the machine has to be free on the disk, at the most. */
const DISK_SHARE_MAX = 1000

/** Changes from where on publishers are blocked: bytes, or shares of the machine's memory. */
async function limit(call: Call) {
  assertThisNode(call)
  const body = call.body()
  const memory = limitIn(body, 'memory', 1)
  const disk = limitIn(body, 'disk_free', DISK_SHARE_MAX)
  if (memory === null && disk === null) assertPresent(body, 'memory_absolute')
  const limits: Partial<ResourceLimits> = {
    // RabbitMQ: a limit of 0 blocks publishers at once, which people use. As a setting it is no limit.
    ...(memory === null ? {} : { memoryBytes: Math.max(1, memory) }),
    ...(disk === null ? {} : { diskFreeBytes: disk }),
  }
  call.broker.logger.warn({ ...limits, user: call.user.name }, 'limits were changed until the broker stops')
  await call.broker.resources.limit(limits)
  return NO_CONTENT
}

/** Changes the least level that is logged. */
function setLogLevel(call: Call) {
  assertThisNode(call)
  const level = levelNamed(stringField(call.body(), 'level'))
  if (!LOG_LEVELS.some((known) => known === level)) throw badRequest(`The level is none of ${LOG_LEVELS.join(', ')}`)
  const { logThreshold } = call.node
  if (logThreshold === null) throw badRequest('The log of this broker has no level that could be changed')
  call.broker.logger.warn(
    { threshold: level, user: call.user.name },
    'the level of the log was changed until the broker stops',
  )
  logThreshold.level = level
  return NO_CONTENT
}

/** Ends the program in order, as a signal does, once the answer has left. */
function stop(call: Call) {
  assertThisNode(call)
  const { endProgram } = call.node
  if (endProgram === null) throw badRequest('This broker is part of a program that has to end it itself')
  call.broker.logger.warn({ user: call.user.name }, 'the broker is stopped over HTTP')
  return new Reply(204, undefined, {}, endProgram)
}

/** Accepts no AMQP connections any more; those that are open go on, and so does this API. */
async function suspendListeners(call: Call) {
  assertThisNode(call)
  call.broker.logger.warn({ user: call.user.name }, 'AMQP connections are not accepted until the listeners are resumed')
  await call.node.suspendListeners()
  return NO_CONTENT
}

/** Accepts AMQP connections again. Throws 503 when another process has the port meanwhile. */
async function resumeListeners(call: Call) {
  assertThisNode(call)
  try {
    await call.node.resumeListeners()
  } catch (error) {
    if (!(error instanceof StartError)) throw error
    throw new HttpError(503, 'not_listening', error.message, { cause: error })
  }
  call.broker.logger.warn({ user: call.user.name }, 'AMQP connections are accepted again')
  return NO_CONTENT
}

/** Collects garbage, for which everything else waits. */
function collect(call: Call) {
  assertThisNode(call)
  collectGarbage()
  return NO_CONTENT
}

/** A limit in bytes, or as a share of the machine's memory, up to `most`; null when there is neither. Throws 400. */
function limitIn(body: JsonObject, resource: 'memory' | 'disk_free', most: number): number | null {
  const share = numberIn(body, `${resource}_relative`, most)
  if (share !== null) return Math.floor(share * memoryBytes())
  const bytes = numberIn(body, `${resource}_absolute`, Number.MAX_SAFE_INTEGER)
  if (bytes !== null && !Number.isInteger(bytes)) throw badRequest(['not_integer', `${resource}_absolute`])
  return bytes
}

/** A number from 0 on; null when it is absent. Throws 400. */
function numberIn(body: JsonObject, key: string, most: number): number | null {
  const value = body[key] ?? null
  if (value === null) return null
  if (typeof value !== 'number' || value < 0 || value > most) throw badRequest(['not_a_limit', key])
  return value
}
