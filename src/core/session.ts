// What a client may do in a vhost: the commands that front ends call, each with its right checked.
import { randomBytes } from 'node:crypto'
import type { Access, User } from './access.ts'
import {
  assertExchangeEquivalent,
  assertQueueEquivalent,
  NAME_PREFIX,
  namePrefixOf,
  validateConsumerArguments,
  validateExchangeArguments,
  queueTypeOf,
  validateQueueArguments,
  validateQueueProperties,
} from './arguments.ts'
import { integerOf } from './arguments/same-value.ts'
import type { Broker } from './broker.ts'
import { BrokerError } from './errors.ts'
import { Binding } from './exchange/binding.ts'
import { assertExchangeType } from './exchange/exchange-types.ts'
import type { TracedClient } from './firehose.ts'
import { route, type Exchange } from './exchange/exchange.ts'
import { Routes, type Detour } from './exchange/routes.ts'
import { NO_KEYS, type Message } from './message.ts'
import type { Consumer, Publisher } from './ports.ts'
import { returnDeadLetter, type NotReturned } from './queue/dead-return.ts'
import type { Subscription } from './queue/dispatch.ts'
import type { Queue } from './queue/queue.ts'
import type { QueueOwner } from './queue/queue-context.ts'
import { namesReplyQueue, REPLY_TO } from './reply-to.ts'
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

/** What a declaration answers. */
export type QueueState = Pick<Queue, 'name' | 'readyCount' | 'consumerCount'>

/** How an exchange is to be declared. */
export interface ExchangeDeclaration {
  readonly name: string
  readonly type: string
  readonly durable: boolean
  readonly autoDelete: boolean
  readonly internal: boolean
  readonly arguments: FieldTable
}

/** Where a message goes that is delivered later. */
export interface Destinations {
  /** Their names: who is there is asked when it is delivered (RabbitMQ: tx.commit). */
  readonly queues: readonly string[]
  /** Those that keep it for later still. */
  readonly detours: readonly Detour[]
  readonly copies: readonly string[]
}

/** What became of dead letters that were to go back. */
export interface DeadLettersReturned {
  readonly returned: number
  readonly kept: readonly NotReturned[]
}

/** What became of such a message. */
export interface Delivered {
  readonly reached: number
  readonly answers: number
}

const RESERVED_PREFIX = 'amq.'

/**
 * One client in one vhost. Commands throw BrokerError; publish is the hot path, and looks things up again only when
 * names, topology or rights have changed.
 */
export class Session implements QueueOwner {
  readonly user: User
  readonly vhost: VHost
  /** The connection of the client; null when there is none. */
  origin: TracedClient | null = null
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
   * Routes a message to the queues and returns how many took it, or keep it for later. `publisher` is told of each.
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
      this.#route(message, NO_KEYS)
    }
    return this.#hand(message, NO_KEYS, publisher, sequence)
  }

  /** Whether the last publish reached no queue yet: it is kept for later, or was for nobody. */
  get unrouted(): boolean {
    return this.#routes.length === 0
  }

  /** The same for a message that goes to further routing keys beside its own (RabbitMQ: CC and BCC). */
  publishCopies(message: Message, keys: readonly string[], publisher: Publisher | null, sequence: number): number {
    this.#route(message, keys)
    return this.#hand(message, keys, publisher, sequence)
  }

  /** Where a message goes that is not to be delivered yet, with the same checks. */
  destinations(message: Message, keys: readonly string[]): Destinations {
    const routes = this.#routes
    this.#route(message, keys)
    // The default exchange takes every key for the name of a queue, be it there or not.
    const queues =
      message.exchange === ''
        ? [...new Set([message.routingKey, ...keys])]
        : Array.from({ length: routes.length }, (_, index) => routes.queues[index]!.name)
    return { queues, detours: routes.detours.slice(0, routes.detourCount), copies: keys }
  }

  /**
   * Delivers a message to where it was routed before: to those of the queues that are there by now. Returns how many they
   * are, and how often the publisher is told.
   */
  deliver(message: Message, destinations: Destinations, publisher: Publisher, sequence: number): Delivered {
    const repeating = destinations.detours.filter((detour) => detour.repeats?.(message) === true)
    if (repeating.length > 0) {
      for (const detour of repeating) detour.take(message, destinations.copies, publisher, sequence)
      return { reached: 0, answers: repeating.length }
    }
    let reached = 0
    for (const name of destinations.queues) {
      const queue = this.vhost.queues.get(name) ?? this.vhost.replyQueues.get(name)
      if (queue === undefined) continue
      reached++
      queue.publish(message, publisher, sequence)
      queue.passages.count(message.exchange)
      if (queue.overrun) this.#overrun = queue
    }
    this.#count(message, reached)
    for (const detour of destinations.detours) detour.take(message, destinations.copies, publisher, sequence)
    return { reached, answers: reached + destinations.detours.length }
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
    validateExchangeArguments(name, this.vhost.name, declaration)
    const alternate = declaration.arguments.get('alternate-exchange')
    if (alternate?.type === 'longstr') {
      this.#check('exchange', name, 'read')
      this.#check('exchange', alternate.value, 'write')
    }
    this.#broker.quotas.checkExchange(this.vhost.name, name, this.#broker.exchangeCount)
    this.vhost.addExchange(name, declaration, this.user.name)
  }

  /** exchange.declare with passive: only whether the name exists. */
  checkExchange(rawName: string): void {
    const name = cleaned(rawName)
    this.#refuseDefaultExchange(name)
    this.#access.checkAny(this.user.name, this.vhost.name, 'exchange', name)
    this.vhost.exchange(name)
  }

  /** Whether the user may do to this exchange what declaring it needs. */
  checkConfigurableExchange(name: string): void {
    this.#check('exchange', name, 'configure')
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
    this.vhost.deleteExchange(exchange, this.user.name)
  }

  /**
   * queue.declare. Returns the queue, whose name is the broker's choice if none was given.
   * @throws BrokerError access-refused, resource-locked, precondition-failed, not-implemented
   */
  declareQueue(asked: QueueDeclaration): Queue {
    const declaration = { ...asked, arguments: this.#typedArguments(asked) }
    const given = cleaned(declaration.name)
    if (given.startsWith(RESERVED_PREFIX)) throw this.#reserved('queue', given)
    const name = given === '' ? generatedName(cleaned(namePrefixOf(asked.arguments))) : given
    this.#check('queue', name, 'configure')
    const existing = this.vhost.queues.get(name)
    if (existing !== undefined) {
      this.#assertMine(existing)
      if ((existing.owner !== null) !== declaration.exclusive) throw this.#locked(existing)
      const durable = existing.owner !== null ? existing.durable : declaration.durable
      const { relaxed } = this.#broker.declarations
      assertQueueEquivalent(existing, { ...declaration, durable }, this.vhost.name, relaxed)
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
    const queues = { here: this.vhost.queues.size, all: this.#broker.queueCount }
    this.#broker.quotas.checkQueue(this.vhost.name, name, queues)
    const queue = this.vhost.addQueue(
      {
        name,
        // RabbitMQ 4: a queue that goes with its connection has nothing to survive for.
        durable: declaration.durable && !declaration.exclusive,
        owner: declaration.exclusive ? this : null,
        autoDelete: declaration.autoDelete,
        arguments: declaration.arguments,
        user: this.user.name,
      },
      this.user.name,
    )
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

  /**
   * The queue of this name, if it is not known yet what it holds. Whoever is to be told of that waits for it (see
   * `Queue.whenOpened`).
   */
  unopenedQueue(name: string): Queue | null {
    const queue = this.vhost.queues.get(cleaned(name))
    return queue === undefined || queue.opened ? null : queue
  }

  /**
   * The queue of this name, which the user may read, to be told what it holds.
   * @throws BrokerError not-found also when that is not known now
   */
  openedQueue(name: string): Queue {
    const queue = this.readableQueue(name)
    this.assertOpened(queue)
    return queue
  }

  /**
   * Whether it is known what the queue holds. If not, whoever asks has not waited, or the disk does not give it.
   * @throws BrokerError not-found (RabbitMQ: so of a queue whose node is away)
   */
  assertOpened(queue: Queue): void {
    if (queue.opened) return
    const sentence = `home node '${this.#broker.nodeName}' of durable queue '${queue.name}' in vhost '${queue.vhost}' is down or inaccessible`
    throw new BrokerError('not-found', sentence)
  }

  /** queue.delete. Returns how many messages were ready, or could not be read; 0 for a queue that does not exist. */
  deleteQueue(rawName: string, ifUnused: boolean, ifEmpty: boolean): number {
    const name = cleaned(rawName)
    this.#check('queue', name, 'configure')
    const queue = this.vhost.queues.get(name)
    if (queue === undefined) return 0
    this.#assertMine(queue)
    if ((ifUnused || ifEmpty) && queue.rules.type === 'quorum') {
      throw new BrokerError(
        'not-implemented',
        `cannot delete queue '${name}' in vhost '${this.vhost.name}'. queue.delete operations with ` +
          `${ifUnused ? 'if-unused' : 'if-empty'} flag set are not supported by quorum queues`,
      )
    }
    if (ifEmpty) this.assertOpened(queue)
    if (ifEmpty && !queue.empty) {
      throw new BrokerError('precondition-failed', `queue '${name}' in vhost '${this.vhost.name}' not empty`)
    }
    if (ifUnused && queue.consumerCount > 0) {
      throw new BrokerError('precondition-failed', `queue '${name}' in vhost '${this.vhost.name}' in use`)
    }
    return this.vhost.deleteQueue(queue, this.user.name)
  }

  /** queue.purge. Returns how many messages were dropped. */
  purgeQueue(rawName: string): number {
    const name = cleaned(rawName)
    this.#check('queue', name, 'read')
    const queue = this.#usableQueue(name)
    this.assertOpened(queue)
    if (queue.durable) this.#broker.durableChanges++
    return queue.purge()
  }

  /** Stops the deliveries of a queue, or goes on with them. */
  pauseQueue(name: string, paused: boolean): void {
    this.#check('queue', name, 'configure')
    this.vhost.pauseQueue(this.#usableQueue(name), paused)
  }

  /**
   * Gives dead letters back to the queues that they came from; those that cannot go there stay where they are. Each leaves
   * and arrives in one batch. For whoever may read here, and publish to queues by name; and as the header x-death may be a
   * client's, for whoever may publish what that says.
   */
  async returnDeadLetters(name: string, positions: readonly number[]): Promise<DeadLettersReturned> {
    const queue = this.openedQueue(name)
    this.publishableExchange('')
    const { clock, codec } = this.#broker
    const context = {
      codec,
      now: clock.now(),
      queue: (origin: string) => this.#unlockedQueue(origin),
      checkPublish: (exchange: string, key: string) => this.#checkPublish(exchange, key),
    }
    const kept: NotReturned[] = []
    const count = await queue.withdraw(positions, (entry) => {
      const reason = returnDeadLetter(entry, context)
      if (reason !== null) kept.push({ position: entry.position, reason })
      return reason === null
    })
    if (count > 0) this.#broker.durableChanges++
    return { returned: count, kept }
  }

  /** Deletes single messages. Returns how many were there. */
  async deleteMessages(name: string, positions: readonly number[]): Promise<number> {
    const queue = this.openedQueue(name)
    const count = await queue.withdraw(positions, () => true)
    if (count > 0 && queue.durable) this.#broker.durableChanges++
    return count
  }

  /** queue.bind and exchange.bind. */
  bind(rawTerms: BindingTerms): void {
    const terms = cleanedTerms(rawTerms)
    this.#checkBinding(terms)
    const source = this.vhost.exchange(terms.source)
    if (terms.destinationKind === 'exchange') {
      this.vhost.bind(source, this.vhost.exchange(terms.destination), terms.routingKey, terms.arguments, this.user.name)
      return
    }
    const queue = this.vhost.queue(terms.destination)
    if (queue.owner !== null && queue.owner !== this) {
      // RabbitMQ looks at the arguments before it looks at the owner.
      source.assertBindable(new Binding(source, queue, terms.routingKey, terms.arguments))
      throw this.#locked(queue)
    }
    this.vhost.bind(source, queue, terms.routingKey, terms.arguments, this.user.name)
  }

  /** queue.unbind and exchange.unbind. What does not exist is no error, not even at another's exclusive queue. */
  unbind(rawTerms: BindingTerms): void {
    const terms = cleanedTerms(rawTerms)
    this.#checkBinding(terms)
    const binding = this.vhost.binding(terms)
    if (binding === undefined) return
    if (binding.queue !== null) this.#assertMine(binding.queue)
    this.vhost.unbind(binding, this.user.name)
  }

  /**
   * The queue of a basic.get. RabbitMQ: a quorum queue with a single active consumer gives to nobody else, and direct
   * replies are not got at all.
   */
  gettableQueue(name: string): Queue {
    if (name === REPLY_TO || namesReplyQueue(name)) {
      const sentence = `basic.get not supported by volatile queue '${name}' in vhost '${this.vhost.name}'`
      throw new BrokerError('not-implemented', sentence)
    }
    const queue = this.readableQueue(name)
    const { type, singleActiveConsumer } = queue.rules
    if (type === 'classic' || !singleActiveConsumer) return queue
    throw new BrokerError(
      'resource-locked',
      `cannot obtain access to locked queue '${queue.name}' in vhost '${this.vhost.name}'. ` +
        'basic.get operations are not supported by quorum queues with single active consumer',
    )
  }

  /**
   * Whether a channel with so many consumers may have one more.
   * @throws BrokerError not-allowed
   */
  checkConsumer(consumers: number): void {
    this.#broker.quotas.checkConsumer(consumers)
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

  /** Consumes direct replies, for which no right is needed. Returns the queue that they are published to. */
  consumeReplies(): Queue {
    return this.vhost.addReplyQueue()
  }

  /**
   * What a declaration of a queue for direct replies finds, however it is declared (RabbitMQ); null for any other queue.
   * @throws BrokerError not-found when its consumer is gone
   */
  replyQueueState(name: string): QueueState | null {
    if (name === REPLY_TO) return { name, readyCount: 0, consumerCount: 1 }
    if (!namesReplyQueue(name)) return null
    return this.vhost.replyQueues.get(name) ?? this.vhost.queue(name)
  }

  /** There is nobody to consume them. */
  endReplies(queue: Queue): void {
    this.vhost.queueUnused(queue)
  }

  /**
   * The client opens a channel.
   * @throws BrokerError not-allowed when its user may not have another
   */
  channelOpened(): void {
    this.#broker.quotas.checkChannel(this.user.name, this.#broker.nodeName)
    this.#broker.quotas.channelOpened(this.user.name)
  }

  channelClosed(): void {
    this.#broker.quotas.channelClosed(this.user.name)
  }

  queueDeleted(queue: Queue): void {
    this.#exclusiveQueues.delete(queue)
  }

  /** The client is gone, and its exclusive queues with it. Its consumers and deliveries were given back before. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const queue of this.#exclusiveQueues) this.vhost.deleteQueue(queue, this.user.name)
    this.#broker.sessionClosed(this)
  }

  #hand(message: Message, copies: readonly string[], publisher: Publisher | null, sequence: number): number {
    const routes = this.#routes
    const queues = routes.queues
    const reached = routes.length
    const exchange = this.#routedExchange!
    exchange.publishedIn++
    exchange.publishedOut += reached
    this.#count(message, reached)
    for (let i = 0; i < reached; i++) {
      const queue = queues[i]!
      queue.publish(message, publisher, sequence)
      queue.passages.count(message.exchange)
      if (queue.overrun) this.#overrun = queue
    }
    if (routes.detourCount === 0) return reached
    for (let i = 0; i < routes.detourCount; i++) routes.detours[i]!.take(message, copies, publisher, sequence)
    return reached + routes.detourCount
  }

  #count(message: Message, reached: number): void {
    const { counts } = this.vhost
    counts.published++
    counts.routed += reached
    this.#broker.sizes.observe(message.bodyEnd - message.bodyStart)
  }

  #route(message: Message, keys: readonly string[]): void {
    const exchange = this.#publishable(message.exchange)
    if (exchange.type === 'topic') {
      this.#checkTopic(exchange.name, 'write', message.routingKey)
      for (const key of keys) this.#checkTopic(exchange.name, 'write', key)
    }
    this.#routedKey = message.routingKey
    const routes = this.#routes
    routes.begin()
    route(exchange, message, routes, this.#exchangeByName, keys)
    if (keys.length > 0) routes.repeatable = false
    const { firehose } = this.vhost
    if (firehose === null) return
    // Every message is to be seen: none goes by what is remembered of the last.
    routes.repeatable = false
    // RabbitMQ: who publishes by name has named the queues, whether they are there or not.
    const named = exchange.name === ''
    const names = named
      ? [...new Set([message.routingKey, ...keys])].toSorted()
      : Array.from({ length: routes.length }, (_, index) => routes.queues[index]!.name)
    firehose.published(message, keys, names, this.origin, this.user.name)
  }

  /** The exchange of a publish, looked up and checked again only when something has changed. */
  #publishable(name: string): Exchange {
    const version = this.#broker.version
    const known = this.#routedExchange
    if (known !== null && name === this.#routedName && this.#routedVersion === version) return known
    this.#routedExchange = null
    if (this.#routedVersion !== version) this.#routes.clear()
    // Should this fail, nothing that was looked up before holds any more.
    this.#routedVersion = -1
    const exchange = this.publishableExchange(name)
    this.#routedExchange = exchange
    this.#routedName = name
    this.#routedVersion = version
    return exchange
  }

  readonly #exchangeByName = (name: string): Exchange | undefined => this.vhost.exchanges.get(name)

  /**
   * A queue's arguments, with the type that the vhost gives to those that ask for none. RabbitMQ: a queue that cannot be
   * of it is a classic one.
   */
  #typedArguments({ durable, exclusive, autoDelete, arguments: asked }: QueueDeclaration): FieldTable {
    const args = asked.has(NAME_PREFIX) ? new Map([...asked].filter(([key]) => key !== NAME_PREFIX)) : asked
    const type = this.#broker.defaultQueueType(this.vhost)
    if (type === 'classic' || args.has('x-queue-type')) return args
    if (!durable || exclusive || autoDelete) return args
    return new Map(args).set('x-queue-type', { type: 'longstr', value: type })
  }

  #check(kind: 'queue' | 'exchange', name: string, right: 'configure' | 'write' | 'read'): void {
    this.#access.check(this.user.name, this.vhost.name, kind, name, right)
  }

  /** Throws access-refused when this user may not publish with this key to an exchange of this name. */
  #checkPublish(exchange: string, routingKey: string): void {
    this.#check('exchange', exchange, 'write')
    if (this.vhost.exchanges.get(exchange)?.type === 'topic') this.#checkTopic(exchange, 'write', routingKey)
  }

  #checkBinding(terms: BindingTerms): void {
    if (terms.destinationKind === 'queue' && namesReplyQueue(terms.destination)) {
      throw new BrokerError('access-refused', 'cannot bind or unbind to a volatile (direct reply-to) queue')
    }
    this.#check(terms.destinationKind, terms.destination, 'write')
    this.#refuseDefaultExchange(terms.source)
    if (terms.destinationKind === 'exchange') this.#refuseDefaultExchange(terms.destination)
    this.#check('exchange', terms.source, 'read')
    const source = this.vhost.exchanges.get(terms.source)
    if (source?.type === 'topic') this.#checkTopic(source.name, 'read', terms.routingKey)
  }

  #checkTopic(exchange: string, right: 'write' | 'read', routingKey: string): void {
    this.#access.checkTopic(this.user.name, this.vhost.name, exchange, right, routingKey)
  }

  #usableQueue(name: string): Queue {
    const queue = this.vhost.queue(name)
    this.#assertMine(queue)
    return queue
  }

  #unlockedQueue(name: string): Queue | undefined {
    const queue = this.vhost.queues.get(name)
    return queue !== undefined && (queue.owner === null || queue.owner === this) ? queue : undefined
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
export function generatedName(prefix: string): string {
  return `${prefix}-${randomBytes(16).toString('base64url')}`
}

/** RabbitMQ takes line ends out of the names of queues and exchanges. */
function cleaned(name: string): string {
  return name.replace(/[\r\n]/g, '')
}

function cleanedTerms(terms: BindingTerms): BindingTerms {
  return { ...terms, source: cleaned(terms.source), destination: cleaned(terms.destination) }
}
