// What a route is: where it lies, what it needs of whoever asks, and what it does.
import type { Tag, User } from '../core/access.ts'
import type { Broker } from '../core/broker.ts'
import { BrokerError } from '../core/errors.ts'
import type { Session } from '../core/session.ts'
import type { VHost } from '../core/vhost.ts'
import type { Clock } from '../lib/clock.ts'
import type { LogThreshold } from '../lib/log.ts'
import type { Slices } from '../lib/slices.ts'
import type { CrossOrigins } from './cors.ts'
import type { Authentication } from './authentication.ts'
import type { Listed } from './listing.ts'
import type { Ages } from './ages.ts'
import type { LoopDelay } from './metrics/loop-delay.ts'
import type { QueueOrder } from './queue-order.ts'
import type { History } from './rates.ts'
import type { Traces } from './traces/traces.ts'
import { fromBrokerError, HttpError, notAuthorised, notFound, type Json, type JsonObject } from './http-error.ts'

/** A listener of the server, as overview and health checks show it. */
export interface ListenerFacts {
  readonly protocol: string
  readonly address: string
  readonly port: number
  readonly tls: boolean
  /** Those that are in use there now. */
  readonly certificates?: () => readonly CertificateFacts[]
}

/** A certificate that a listener shows, or believes others by. */
export interface CertificateFacts {
  readonly file: string
  readonly role: 'own' | 'authority'
  /** Milliseconds since 1970. */
  readonly validFrom: number
  readonly validTo: number
}

/** What management knows of the process that it is part of. */
export interface Node {
  /** As `leveret@host`. */
  readonly name: string
  readonly version: string
  /** Milliseconds since 1970. */
  readonly startedAt: number
  readonly dataDir: string | null
  readonly listeners: readonly ListenerFacts[]
  /** What every path begins with; empty for nothing. */
  readonly pathPrefix: string
  /** Bytes that a body may have; files with definitions may have more. */
  readonly bodyBytesMax: number
  readonly crossOrigins: CrossOrigins
  /** Whether operator policies may be changed over HTTP. */
  readonly operatorPolicyChanges: boolean
  /** Where metrics lie on the port of their own (RabbitMQ: prometheus.path). */
  readonly prometheusPath: string
  /** Whether /metrics has a series for each object (RabbitMQ: prometheus.return_per_object_metrics). */
  readonly metricsPerObject: boolean
  /** The mechanisms by which clients of AMQP may log in. */
  readonly authMechanisms: readonly string[]
  /** What the log leaves out; null where that cannot be changed. */
  readonly logThreshold: LogThreshold | null
  /** Ends the program; null where only who started it may. */
  readonly endProgram: (() => void) | null
  /** Accepts no AMQP connections until they are resumed; those that are open go on. */
  suspendListeners(): Promise<void>
  /** Accepts them again. Rejects with a StartError when a port cannot be used any more. */
  resumeListeners(): Promise<void>
  /** The settings that hold, one a line; without passwords. */
  configuration(): string
}

/** What all routes work with. */
export interface Management {
  readonly broker: Broker
  readonly clock: Clock
  /** What long work is cut by. */
  readonly slices: Slices
  readonly rates: History
  readonly node: Node
  readonly authentication: Pick<Authentication, 'login' | 'user'>
  readonly ages: Ages
  readonly queueOrder: QueueOrder
  readonly traces: Traces
  /** How late the event loop is. */
  readonly loopDelay: LoopDelay
}

/** The name that an operator gave to the broker, or else that of the node. */
export function clusterName({ broker, node }: Pick<Management, 'broker' | 'node'>): string {
  return broker.parameters.clusterName ?? node.name
}

/** One request, after its sender was found to be entitled to it. */
export interface Call extends Management {
  readonly user: User
  /** The named parts of the path, decoded. */
  readonly params: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, string | undefined>>
  /** Every value of a parameter that may be given more than once. */
  all(parameter: string): readonly string[]
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** The address that the request came from. */
  readonly address: string
  /** The body as a JSON object. Throws 400. */
  body(): JsonObject
  /** The body as it came. */
  readonly bytes: Buffer
}

/** An answer other than 200 with JSON. */
export class Reply {
  readonly status: number
  readonly body: Json | undefined
  readonly headers: Readonly<Record<string, string>>
  /** Called when the system has taken all of it, or there is nobody to take it any more. */
  readonly sent: (() => void) | null

  constructor(
    status: number,
    body?: Json,
    headers: Readonly<Record<string, string>> = {},
    sent: (() => void) | null = null,
  ) {
    this.status = status
    this.body = body
    this.headers = headers
    this.sent = sent
  }
}

/** The types of a body that must be JSON. */
export const JSON_BODY = ['application/json'] as const

export const CREATED = new Reply(201)
export const NO_CONTENT = new Reply(204)

/** A text that is written piece by piece. */
export class TextStream {
  readonly type: string
  readonly pieces: AsyncIterable<string> | Iterable<string>
  readonly headers: Readonly<Record<string, string>>

  constructor(
    type: string,
    pieces: AsyncIterable<string> | Iterable<string>,
    headers: Readonly<Record<string, string>> = {},
  ) {
    this.type = type
    this.pieces = pieces
    this.headers = headers
  }
}

/** A short text. */
export class Text {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** What a route answers: JSON, a list, a text, or something else than 200. */
export type Answer = Json | JsonObject | Reply | Listed | Text | TextStream

/** One route. The test of roles enumerates them. */
export interface Route {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  /** With `:name` for a part that is percent-encoded. */
  readonly path: string
  /** The tag that is asked for; `nobody` needs no credentials. */
  readonly needs: Tag | 'nobody'
  /** What AMQP would ask for the same, in the vhost of the path. The session checks it, at the one place that knows. */
  readonly right?: 'configure' | 'write' | 'read'
  /** Whether it tells nothing of what queues hold, and so answers before that is known. */
  readonly anytime?: boolean
  /** The types that a body may have; without this, any. RabbitMQ: another is answered 415, none at all is not. */
  readonly bodyTypes?: readonly string[]
  /** Bytes that a body may have at the most; without this, 1 MiB. */
  readonly bodyBytesMax?: number
  /**
   * What the route reads in slices by itself: a body with a long text may have what is set, one with long lists several
   * times that.
   */
  readonly long?: 'text' | 'lists'
  handle(call: Call): Answer | Promise<Answer>
}

/**
 * The vhost of the path, if there is one and the user may know of it. RabbitMQ: to others it does not exist.
 * @throws HttpError 404
 */
export function vhostOf(call: Call): VHost {
  const vhost = call.broker.vhosts.get(call.params['vhost'] ?? '')
  if (vhost === undefined || !call.broker.access.sees(call.user, vhost.name)) throw notFound()
  return vhost
}

/**
 * The same where something is to be made or done in it. RabbitMQ: who gets at what is there is told that it is not, and
 * who wants to add to it that the vhost is missing.
 * @throws HttpError 404
 */
export function targetVHost(call: Call): VHost {
  try {
    return vhostOf(call)
  } catch (error) {
    throw error instanceof HttpError ? new HttpError(404, 'not_found', 'vhost_not_found', { cause: error }) : error
  }
}

/** The node of the path is this one. Throws 404. */
export function assertThisNode({ node, params }: Call): void {
  if (!isThisNode(node, params['node'] ?? '')) throw notFound()
}

/**
 * Whether this is the node's name. What was written for RabbitMQ asks for the one that it would have there: rabbit@ and
 * the host.
 */
export function isThisNode({ name }: Pick<Node, 'name'>, given: string): boolean {
  return given === name || given === `rabbit${name.slice(name.indexOf('@'))}`
}

/** Runs commands as AMQP would for this user, and comes back when what they changed is on disk. */
export async function inSession<T>(
  call: Call,
  vhost: VHost,
  command: (session: Session) => T | Promise<T>,
  refusal: (error: BrokerError) => HttpError = fromBrokerError,
): Promise<T> {
  if (!call.broker.access.mayOpen(call.user.name, vhost.name)) throw notAuthorised('Access refused.')
  const session = call.broker.openSession(call.user, vhost)
  try {
    return await durably(call.broker, () => command(session))
  } catch (error) {
    throw error instanceof BrokerError ? refusal(error) : error
  } finally {
    session.close()
  }
}

/** Runs a command, and if it changed what must survive a restart, waits until that is on disk. */
export async function durably<T>(broker: Broker, command: () => T | Promise<T>): Promise<T> {
  const before = broker.durableChanges
  const result = await command()
  if (broker.durableChanges !== before || broker.definitionsWaiting)
    await new Promise<void>((resolve) => broker.store.whenDurable(resolve))
  return result
}
