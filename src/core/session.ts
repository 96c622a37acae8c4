// What a client may do in a vhost: the commands that front ends call, each with its right checked.
import { randomBytes } from 'node:crypto'
import type { Access, User } from './access.ts'
import {
  assertExchangeEquivalent,
  assertQueueEquivalent,
  validateConsumerArguments,
  validateExchangeArguments,
  queueTypeOf,
  validateQueueArguments,
  validateQueueProperties,
} from './arguments.ts'
import { integerOf } from './arguments/same-value.ts'
import type { Broker } from './broker.ts'
import { BrokerError } from './errors.ts'
import { assertExchangeType } from './exchange/exchange-types.ts'
import { route, type Exchange } from './exchange/exchange.ts'
import { Routes } from './exchange/routes.ts'
import type { Message } from './message.ts'
import type { Consumer, Publisher } from './ports.ts'
import type { Subscription } from './queue/dispatch.ts'
import type { Queue, QueueOwner } from './queue/queue.ts'
import type { FieldTable } from './value.ts'
import type { BindingTerms, VHost } from './vhost.ts'

/** How a queue is to be declared. */
export interface QueueDeclaration {
  readonly name: string
  readonly durable: boolean
  readonly exclusive: boolean
  readonly autoDelete: boolean
  readonly arguments: FieldTable
}

/** How an exchange is to be declared. */
export interface ExchangeDeclaration {
  readonly name: string
  readonly type: string
  readonly durable: boolean
  readonly autoDelete: boolean
  readonly internal: boolean
  readonly arguments: FieldTable
}

const RESERVED_PREFIX = 'amq.'

/**
 * One client in one vhost. Commands throw BrokerError; publish is the hot path, and looks things up again only when
 * names, topology or rights have changed.
 */
export class Session implements QueueOwner {
  readonly user: User
  readonly vhost: VHost
  readonly #exclusiveQueues = new Set<Queue>()
  /** A queue that the publishes since the last `takeOverrun` filled faster than it is emptied. */
  #overrun: Queue | null = null

  readonly #broker: Broker
  readonly #access: Access
  readonly #routes = new Routes()
  #routedExchange: Exchange | null = null
  #routedName = ''
  #routedKey = ''
  /** The version of topology and rights that `#routes` and `#routedExchange` belong to. */
  #routedVersion = -1
  #closed = false

  constructor(broker: Broker, user: User, vhost: VHost) {
    this.#broker = broker
    this.#access = broker.access
    this.user = user
    this.vhost = vhost
  }

  /**
   * Routes a message to the queues and returns how many it reached. `publisher` is told of each of them.
   * @throws BrokerError not-found (no such exchange), access-refused (no right, or an internal exchange)
   */
  publish(message: Message, publisher: Publisher | null, sequence: number): number {
    const routes = this.#routes
    if (
      message.exchange !== this.#routedName ||
      message.routingKey !== this.#routedKey ||
      this.#routedVersion !== this.#broker.version ||
      !routes.repeatable
    ) {
      this.#route(message)
    }
    const queues = routes.queues
    const reached = routes.length
    const exchange = this.#routedExchange!
    exchange.publishedIn++
    exchange.publishedOut += reached
    const { counts } = this.vhost
    counts.published++
    counts.routed += reached
    this.#broker.sizes.observe(message.bodyEnd - message.bodyStart)
    for (let i = 0; i < reached; i++) {
      const queue = queues[i]!
      queue.publish(message, publisher, sequence)
      if (queue.overrun) this.#overrun = queue
    }
    return reached
  }

  /**
   * The exchange of this name, to which the user may publish.
   * @throws BrokerError not-found (no such exchange), access-refused (no right, or an internal exchange)
   */
  publishableExchange(name: string): Exchange {
    this.#check('exchange', name, 'write')
    const exchange = this.vhost.exchange(name)
    if (!exchange.internal) return exchange
    const sentence = `cannot publish to internal exchange '${exchange.name}' in vhost '${this.vhost.name}'`
    throw new BrokerError('access-refused', sentence)
  }

  /** The overrun queue that was met since this was last asked, if any. */
  takeOverrun(): Queue | null {
    const queue = this.#overrun
    this.#overrun = null
    return queue
  }

  /** exchange.declare. Idempotent for an equivalent exchange (AMQP 0-9-1 §1.6.2.1). */
  declareExchange(declaration: ExchangeDeclaration): void {
    const name = cleaned(declaration.name)
    assertExchangeType(declaration.type)
    this.#refuseDefaultExchange(name)
    this.#check('exchange', name, 'configure')
    const existing = this.vhost.exchanges.get(name)
    if (existing !== undefined) {
      assertExchangeEquivalent(existing, declaration, this.vhost.name)
      return
    }
    if (name.startsWith(RESERVED_PREFIX)) throw this.#reserved('exchange', name)
    validateExchangeArguments(name, this.vhost.name, declaration.arguments)
    const alternate = declaration.arguments.get('alternate-exchange')
    if (alternate?.type === 'longstr') {
      this.#check('exchange', name, 'read')
      this.#check('exchange', alternate.value, 'write')
    }
    this.vhost.addExchange(name, declaration)
  }

  /** exchange.declare with passive: only whether the name exists. */
  checkExchange(rawName: string): void {
    const name = cleaned(rawName)
    this.#refuseDefaultExchange(name)
    this.#access.checkAny(this.user.name, this.vhost.name, 'exchange', name)
    this.vhost.exchange(name)
  }

  /** exchange.delete. A missing exchange is no error (RabbitMQ since 3.2). */
  deleteExchange(rawName: string, ifUnused: boolean): void {
    const name = cleaned(rawName)
    this.#refuseDefaultExchange(name)
    if (name.startsWith(RESERVED_PREFIX)) {
      const sentence = `deletion of system exchange '${name}' in vhost '${this.vhost.name}' not allowed`
      throw new BrokerError('access-refused', sentence)
    }
    this.#check('exchange', name, 'configure')
    const exchange = this.vhost.exchanges.get(name)
    if (exchange === undefined) return
    if (ifUnused && exchange.sourceBindings.size > 0) {
      throw new BrokerError('precondition-failed', `exchange '${name}' in vhost '${this.vhost.name}' in use`)
    }
    this.vhost.deleteExchange(exchange)
  }

  /**
   * queue.declare. Returns the queue, whose name is the broker's choice if none was given.
   * @throws BrokerError access-refused, resource-locked, precondition-failed, not-implemented
   */
  declareQueue(declaration: QueueDeclaration): Queue {
    const given = cleaned(declaration.name)
    if (given.startsWith(RESERVED_PREFIX)) throw this.#reserved('queue', given)
    const name = given === '' ? generatedName('amq.gen-') : given
    this.#check('queue', name, 'configure')
    const existing = this.vhost.queues.get(name)
    if (existing !== undefined) {
      this.#assertMine(existing)
      if ((existing.owner !== null) !== declaration.exclusive) throw this.#locked(existing)
      const durable = existing.owner !== null ? existing.durable : declaration.durable
      assertQueueEquivalent(existing, { ...declaration, durable }, this.vhost.name)
      existing.redeclared()
      this.#broker.churn.queuesDeclared++
      return existing
    }
    const deadLetters = declaration.arguments.get('x-dead-letter-exchange')
    if (deadLetters?.type === 'longstr') {
      this.#check('queue', name, 'read')
      this.#check('exchange', deadLetters.value, 'write')
    }
    validateQueueArguments(name, this.vhost.name, declaration.arguments)
    if (given === '' && queueTypeOf(declaration.arguments) === 'quorum') {
      const sentence = 'Cannot declare a server-named queue for type rabbit_quorum_queue'
      throw new BrokerError('precondition-failed', sentence)
    }
    validateQueueProperties(name, this.vhost.name, declaration, declaration.exclusive)
    const queue = this.vhost.addQueue({
      name,
      // RabbitMQ 4: a queue that goes with its connection has nothing to survive for.
      durable: declaration.durable && !declaration.exclusive,
      owner: declaration.exclusive ? this : null,
      autoDelete: declaration.autoDelete,
      arguments: declaration.arguments,
    })
    if (declaration.exclusive) this.#exclusiveQueues.add(queue)
    this.#broker.churn.queuesDeclared++
    return queue
  }

  /** queue.declare with passive: the queue, if it exists and is not another connection's. */
  checkQueue(rawName: string): Queue {
    const name = cleaned(rawName)
    this.#access.checkAny(this.user.name, this.vhost.name, 'queue', name)
    const queue = this.#usableQueue(name)
    queue.redeclared()
    return queue
  }

  /** queue.delete. Returns how many messages were ready; 0 for a queue that does not exist. */
  deleteQueue(rawName: string, ifUnused: boolean, ifEmpty: boolean): number {
    const name = cleaned(rawName)
    this.#check('queue', name, 'configure')
    const queue = this.vhost.queues.get(name)
    if (queue === undefined) return 0
    this.#assertMine(queue)
    if (ifEmpty && queue.readyCount > 0) {
      throw new BrokerError('precondition-failed', `queue '${name}' in vhost '${this.vhost.name}' not empty`)
    }
    if (ifUnused && queue.consumerCount > 0) {
      throw new BrokerError('precondition-failed', `queue '${name}' in vhost '${this.vhost.name}' in use`)
    }
    return this.vhost.deleteQueue(queue)
  }

  /** queue.purge. Returns how many messages were dropped. */
  purgeQueue(rawName: string): number {
    const name = cleaned(rawName)
    this.#check('queue', name, 'read')
    const queue = this.#usableQueue(name)
    if (queue.durable) this.#broker.durableChanges++
    return queue.purge()
  }

  /** queue.bind and exchange.bind. */
  bind(rawTerms: BindingTerms): void {
    const terms = cleanedTerms(rawTerms)
    this.#checkBinding(terms)
    const source = this.vhost.exchange(terms.source)
    if (terms.destinationKind === 'exchange') {
      this.vhost.bind(source, this.vhost.exchange(terms.destination), terms.routingKey, terms.arguments)
      return
    }
    this.vhost.bind(source, this.#usableQueue(terms.destination), terms.routingKey, terms.arguments)
  }

  /** queue.unbind and exchange.unbind. What does not exist is no error. */
  unbind(rawTerms: BindingTerms): void {
    const terms = cleanedTerms(rawTerms)
    this.#checkBinding(terms)
    if (terms.destinationKind === 'queue') {
      const queue = this.vhost.queues.get(terms.destination)
      if (queue !== undefined) this.#assertMine(queue)
    }
    this.vhost.unbind(terms)
  }

  /** The queue of a basic.get. RabbitMQ: a quorum queue with a single active consumer gives to nobody else. */
  gettableQueue(name: string): Queue {
    const queue = this.readableQueue(name)
    const { type, singleActiveConsumer } = queue.rules
    if (type === 'classic' || !singleActiveConsumer) return queue
    throw new BrokerError(
      'resource-locked',
      `cannot obtain access to locked queue '${queue.name}' in vhost '${this.vhost.name}'. ` +
        'basic.get operations are not supported by quorum queues with single active consumer',
    )
  }

  /** The queue of a basic.consume. */
  readableQueue(name: string): Queue {
    this.#check('queue', name, 'read')
    return this.#usableQueue(name)
  }

  /** basic.consume. The caller calls `queue.serve` when the client knows of its consumer. */
  consume(queue: Queue, consumer: Consumer, exclusive: boolean, args: FieldTable): Subscription {
    validateConsumerArguments(queue, this.vhost.name, args)
    const { type, singleActiveConsumer } = queue.rules
    // RabbitMQ: a quorum queue has no exclusive consumers; beside a single active one there can be none.
    const alone = exclusive && type === 'classic'
    if (queue.exclusivelyConsumed || (alone && (singleActiveConsumer || queue.consumerCount > 0))) {
      const sentence = `queue '${queue.name}' in vhost '${this.vhost.name}' in exclusive use`
      throw new BrokerError('access-refused', sentence)
    }
    const priority = args.get('x-priority')
    return queue.subscribe(consumer, alone, priority === undefined ? 0 : Number(integerOf(priority)))
  }

  queueDeleted(queue: Queue): void {
    this.#exclusiveQueues.delete(queue)
  }

  /** The client is gone, and its exclusive queues with it. Its consumers and deliveries were given back before. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const queue of this.#exclusiveQueues) this.vhost.deleteQueue(queue)
    this.#broker.sessionClosed(this)
  }

  #route(message: Message): void {
    const version = this.#broker.version
    if (message.exchange !== this.#routedName || this.#routedVersion !== version || this.#routedExchange === null) {
      this.#routedExchange = null
      // Should this fail, nothing that was looked up before holds any more.
      this.#routedVersion = -1
      this.#routedExchange = this.publishableExchange(message.exchange)
      this.#routedName = message.exchange
      this.#routedVersion = version
    }
    this.#routedKey = message.routingKey
    const routes = this.#routes
    routes.begin()
    if (message.exchange === '') {
      // Every queue is bound to the default exchange by its name (AMQP 0-9-1 §2.1.2.4).
      const queue = this.vhost.queues.get(message.routingKey)
      if (queue !== undefined) routes.add(queue)
      return
    }
    route(this.#routedExchange, message, routes, this.#exchangeByName)
  }

  readonly #exchangeByName = (name: string): Exchange | undefined => this.vhost.exchanges.get(name)

  #check(kind: 'queue' | 'exchange', name: string, right: 'configure' | 'write' | 'read'): void {
    this.#access.check(this.user.name, this.vhost.name, kind, name, right)
  }

  #checkBinding(terms: BindingTerms): void {
    this.#check(terms.destinationKind, terms.destination, 'write')
    this.#refuseDefaultExchange(terms.source)
    if (terms.destinationKind === 'exchange') this.#refuseDefaultExchange(terms.destination)
    this.#check('exchange', terms.source, 'read')
  }

  #usableQueue(name: string): Queue {
    const queue = this.vhost.queue(name)
    this.#assertMine(queue)
    return queue
  }

  #assertMine(queue: Queue): void {
    if (queue.owner !== null && queue.owner !== this) throw this.#locked(queue)
  }

  #locked(queue: Queue): BrokerError {
    return new BrokerError(
      'resource-locked',
      `cannot obtain exclusive access to locked queue '${queue.name}' in vhost '${this.vhost.name}'. ` +
        'It could be originally declared on another connection or the exclusive property value does not match ' +
        'that of the original declaration.',
    )
  }

  #reserved(kind: 'queue' | 'exchange', name: string): BrokerError {
    return new BrokerError('access-refused', `${kind} name '${name}' contains reserved prefix 'amq.*'`)
  }

  #refuseDefaultExchange(name: string): void {
    if (name === '') throw new BrokerError('access-refused', 'operation not permitted on the default exchange')
  }
}

/** A name of the broker's choice, as RabbitMQ makes them: 16 random bytes, so that nobody guesses it. */
export function generatedName(prefix: 'amq.gen-' | 'amq.ctag-'): string {
  return prefix + randomBytes(16).toString('base64url')
}

/** RabbitMQ takes line ends out of the names of queues and exchanges. */
function cleaned(name: string): string {
  return name.replace(/[\r\n]/g, '')
}

function cleanedTerms(terms: BindingTerms): BindingTerms {
  return { ...terms, source: cleaned(terms.source), destination: cleaned(terms.destination) }
}
