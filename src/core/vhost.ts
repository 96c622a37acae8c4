// A virtual host: its exchanges, its queues and the bindings between them.
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/log.ts'
import { Slices } from '../lib/slices.ts'
import type {
  BindingDefinition,
  Definition,
  ExchangeDefinition,
  QueueDefinition,
  VHostDefinition,
} from './definitions.ts'
import type { Announcements, Outlet } from './announcements.ts'
import { assertShort } from './arguments.ts'
import { MessageCounts, type Churn, type DeathCounts, type DeathReason } from './counts.ts'
import { BrokerError } from './errors.ts'
import { Binding, bindingIdentity } from './exchange/binding.ts'
import { createExchange } from './exchange/exchange-types.ts'
import { DefaultExchange } from './exchange/default.ts'
import { ExchangeRules, type ExchangeLogs } from './exchange/exchange-rules.ts'
import { RecentHistoryExchange } from './exchange/recent-history.ts'
import { EVENT_EXCHANGE, EVENT_VHOST, INTERNAL_USER, LOG_EXCHANGE, type EventFacts, type Events } from './events.ts'
import { Firehose, TRACE_EXCHANGE } from './firehose.ts'
import { route, type Exchange, type ExchangeProperties } from './exchange/exchange.ts'
import { Routes } from './exchange/routes.ts'
import type { InputWindow } from './input-window.ts'
import { GOVERNED_AT_ONCE } from './limits.ts'
import { NO_KEYS, type Message } from './message.ts'
import type { DelayedMessage, IdLog, MessageCodec, QueueLog, Store } from './ports.ts'
import { DeadLetters } from './queue/dead-letter.ts'
import type { Entry } from './queue/entry.ts'
import { Queue } from './queue/queue.ts'
import type { QueueContext, QueueProperties } from './queue/queue-context.ts'
import type { ResidentBudget } from './queue/resident-budget.ts'
import { hasOwnLevels, mustKnow, queueRules } from './queue/rules.ts'
import { governanceOf, type Effective, type Policies } from './policies.ts'
import { replyQueueName } from './reply-to.ts'
import {
  bindingDefinition,
  bindingFacts,
  exchangeDefinition,
  exchangeFacts,
  isDurable,
  queueDefinition,
  queueFacts,
} from './topology-records.ts'
import { NO_ARGUMENTS, type FieldTable } from './value.ts'

/** What a vhost needs from the broker. */
export interface VHostContext {
  readonly store: Pick<Store, 'log' | 'spill' | 'delays' | 'ids' | 'whenDurable'>
  /** What the queues keep in memory together. */
  readonly residentBudget: ResidentBudget
  readonly codec: MessageCodec
  readonly announcements: Announcements
  readonly events: Events
  /** The node's name, as `leveret@host`. */
  readonly nodeName: string
  readonly policies: Pick<Policies, 'effective'>
  readonly clock: Clock
  readonly window: InputWindow
  readonly logger: Logger
  readonly churn: Churn
  /** What queues of a type gave up. */
  deaths(queueType: string): DeathCounts
  /** Exchanges, queues or bindings have changed: what was routed before may be routed elsewhere now. */
  topologyChanged(): void
  /** Keeps a definition, or forgets it. */
  save(definition: Definition): void
  remove(definition: Definition): void
}

/** The exchanges that every vhost has (RabbitMQ's), beside the default one. */
const PREDECLARED: readonly (readonly [name: string, type: string, internal: boolean])[] = [
  ['amq.direct', 'direct', false],
  ['amq.fanout', 'fanout', false],
  ['amq.topic', 'topic', false],
  ['amq.headers', 'headers', false],
  ['amq.match', 'headers', false],
  [TRACE_EXCHANGE, 'topic', true],
]

/** Those beside them of the vhost to which the broker tells what happens. */
const TOLD = [EVENT_EXCHANGE, LOG_EXCHANGE] as const

const PREDECLARED_NAMES: ReadonlySet<string> = new Set(['', ...PREDECLARED.map(([name]) => name), ...TOLD])

/** A binding's terms, as both binding and unbinding give them. */
export interface BindingTerms {
  readonly source: string
  readonly destinationKind: 'queue' | 'exchange'
  readonly destination: string
  readonly routingKey: string
  readonly arguments: FieldTable
}

/** Owns names. Whether somebody may do what is asked is decided before (Session); what it means is done here. */
export class VHost implements QueueContext, Outlet {
  readonly name: string
  /** What the vhost is kept as. */
  definition: VHostDefinition
  /** What was published here, and what became of the messages of channels and queues that are gone. */
  readonly counts = new MessageCounts()
  /** What the queues that are gone had counted, by their type. */
  readonly retired = new Map<string, MessageCounts>()
  readonly exchanges = new Map<string, Exchange>()
  readonly queues = new Map<string, Queue>()
  /** What direct replies are delivered through: reached by the default exchange and by nothing else. */
  readonly replyQueues = new Map<string, Queue>()
  readonly window: InputWindow
  /** Traces what happens here; null when that is switched off. */
  firehose: Firehose | null = null
  readonly #context: VHostContext
  readonly #deadLetters: DeadLetters
  readonly #exchangeRules: ExchangeRules
  readonly #slices = new Slices()
  /** Changes of policies; the last one is the one that is carried out. */
  #policyChanges = 0
  #governing: Promise<void> = Promise.resolve()

  constructor(definition: VHostDefinition, context: VHostContext) {
    this.name = definition.name
    this.definition = definition
    this.window = context.window
    this.#context = context
    this.#deadLetters = new DeadLetters(this, context)
    this.#exchangeRules = new ExchangeRules(context, this.counts, (...waited) => this.#release(...waited))
    for (const [name, type, internal] of PREDECLARED) {
      this.#addExchange(name, { type, durable: true, autoDelete: false, internal, arguments: NO_ARGUMENTS })
    }
    if (this.name === EVENT_VHOST) {
      const properties = { type: 'topic', durable: true, autoDelete: false, internal: true, arguments: NO_ARGUMENTS }
      for (const name of TOLD) this.#addExchange(name, properties)
    }
    this.exchanges.set('', new DefaultExchange((queue) => this.queues.get(queue) ?? this.replyQueues.get(queue)))
  }

  /** Puts back what the store held. Bindings come after the exchanges and queues that they join. */
  restore(definition: ExchangeDefinition | QueueDefinition | BindingDefinition): void {
    switch (definition.kind) {
      case 'exchange':
        this.#restoreExchange(definition)
        return
      case 'queue':
        this.#restoreQueue(definition)
        return
      case 'binding':
        this.#restoreBinding(definition)
    }
  }

  /** Reads what exchanges had kept for bindings to come. */
  async recall(): Promise<void> {
    for (const exchange of this.exchanges.values()) {
      if (exchange instanceof RecentHistoryExchange) await exchange.recall()
    }
  }

  /**
   * Messages may come: it is found out what queues must know before they take any, and then messages go on that had waited
   * before exchanges. What the disk does not give is not waited for.
   */
  async start(): Promise<void> {
    await this.#known()
    for (const { delaying } of this.exchanges.values()) delaying?.delays.start()
  }

  /** What holds for a queue or an exchange by its arguments and the policies. */
  effective(subject: Queue | Exchange): Effective {
    const kind = subject instanceof Queue ? 'queue' : 'exchange'
    return this.#context.policies.effective(this.name, { kind, name: subject.name, arguments: subject.arguments })
  }

  /**
   * Policies are others than before: what is here goes by them at once. Thousands of queues take longer than messages
   * should wait: the rest of them follows, some in each pass of the event loop.
   */
  policiesChanged(): void {
    this.#governing = this.#govern(++this.#policyChanges)
  }

  /** Resolves when everything here goes by the policies of now, and knows what it must for that. */
  get governed(): Promise<void> {
    return this.#governing
  }

  /** @throws BrokerError not-found */
  exchange(name: string): Exchange {
    const exchange = this.exchanges.get(name)
    if (exchange === undefined) throw new BrokerError('not-found', `no exchange '${name}' in vhost '${this.name}'`)
    return exchange
  }

  /** @throws BrokerError not-found */
  queue(name: string): Queue {
    const queue = this.queues.get(name)
    if (queue === undefined) throw new BrokerError('not-found', `no queue '${name}' in vhost '${this.name}'`)
    return queue
  }

  /** Switches the firehose on or off. Those who are connected are told by the broker. */
  trace(on: boolean): void {
    const { announcements, codec, nodeName: node } = this.#context
    const heard = (): boolean => (this.exchanges.get(TRACE_EXCHANGE)?.sourceBindings.size ?? 0) > 0
    const announce = (message: Message): void => announcements.add(this, message)
    this.firehose = on ? new Firehose({ vhost: this.name, node, codec, heard, announce }) : null
  }

  /** Publishes a message of the broker's own. Nobody is told whether anybody gets it. */
  publishOwn(message: Message): void {
    const exchange = this.exchanges.get(message.exchange)
    if (exchange === undefined) return
    const routes = new Routes()
    routes.begin()
    route(exchange, message, routes, (name) => this.exchanges.get(name))
    exchange.publishedIn++
    exchange.publishedOut += routes.length
    deliver(routes, message, NO_KEYS)
  }

  /** Adds an exchange that does not exist yet. */
  addExchange(name: string, properties: ExchangeProperties, by = INTERNAL_USER): Exchange {
    const exchange = this.#addExchange(name, properties)
    exchange.user = by
    if (exchange.durable) this.#context.save(exchangeDefinition(this.name, exchange))
    this.#context.topologyChanged()
    this.#tell('exchange.created', by, () => exchangeFacts(exchange))
    return exchange
  }

  /** Deletes an exchange with all bindings from and to it; upstream auto-delete exchanges may follow. */
  deleteExchange(exchange: Exchange, by = INTERNAL_USER): void {
    if (this.exchanges.get(exchange.name) !== exchange) return
    this.exchanges.delete(exchange.name)
    exchange.delaying?.drop()
    exchange.deduplication?.drop()
    if (exchange instanceof RecentHistoryExchange) exchange.log?.drop()
    if (exchange.durable) this.#context.remove(exchangeDefinition(this.name, exchange))
    for (const binding of exchange.sourceBindings.values()) this.#dropBinding(binding, by)
    for (const binding of [...exchange.destinationBindings]) {
      this.#dropBinding(binding, by)
      this.#autoDelete(binding.source, by)
    }
    this.#context.topologyChanged()
    this.#tell('exchange.deleted', by, () => ({ name: exchange.name }))
  }

  /** Adds a queue that does not exist yet. */
  addQueue(properties: Omit<QueueProperties, 'vhost'>, by = INTERNAL_USER): Queue {
    const log = properties.durable ? this.#context.store.log() : null
    const queue = this.#governed(new Queue({ ...properties, vhost: this.name }, log, this))
    this.queues.set(queue.name, queue)
    if (queue.durable) this.#context.save(queueDefinition(queue))
    this.#context.churn.queuesCreated++
    this.#context.topologyChanged()
    this.#tell('queue.created', by, () => queueFacts(queue))
    return queue
  }

  /** Deletes a queue with its messages and bindings. Returns how many messages were ready, or could not be read. */
  deleteQueue(queue: Queue, by = INTERNAL_USER): number {
    if (queue.deleted) return 0
    const count = queue.readyCount + queue.unreadableCount
    this.queues.delete(queue.name)
    if (queue.durable) this.#context.remove(queueDefinition(queue))
    for (const binding of [...queue.bindings]) {
      this.#dropBinding(binding, by)
      this.#autoDelete(binding.source, by)
    }
    this.#context.topologyChanged()
    this.#context.churn.queuesDeleted++
    this.#retire(queue)
    queue.delete('queue-deleted')
    this.#tell('queue.deleted', by, () => ({ name: queue.name, type: queue.rules.type }))
    return count
  }

  /** Stops the deliveries of a queue, or goes on with them; that survives a restart if the queue does. */
  pauseQueue(queue: Queue, paused: boolean): void {
    if (queue.paused === paused) return
    if (paused) queue.pause()
    else queue.unpause()
    if (queue.durable) this.#context.save(queueDefinition(queue))
  }

  /** Adds a queue for direct replies. It goes with its one consumer. */
  addReplyQueue(): Queue {
    const properties = { durable: false, owner: null, autoDelete: true, arguments: NO_ARGUMENTS, user: null }
    const queue = new Queue({ ...properties, name: replyQueueName(), vhost: this.name }, null, this)
    this.replyQueues.set(queue.name, queue)
    this.#context.topologyChanged()
    return queue
  }

  /**
   * Adds a binding; the same again changes nothing. Both ends exist.
   * @throws BrokerError precondition-failed when the exchange cannot route by it
   */
  bind(
    source: Exchange,
    destination: Queue | Exchange,
    routingKey: string,
    args: FieldTable,
    by = INTERNAL_USER,
  ): void {
    assertShort('a routing key', routingKey)
    const binding = new Binding(source, destination, routingKey, args)
    if (!source.bind(binding)) return
    binding.queue?.bindings.add(binding)
    if (isDurable(binding)) this.#context.save(bindingDefinition(this.name, binding))
    this.#context.topologyChanged()
    this.#tell('binding.created', by, () => bindingFacts(binding))
    for (const message of source.history) this.#replay(message, destination)
  }

  /** The binding of these terms, if there is one. */
  binding({ source, destinationKind, destination, routingKey, arguments: args }: BindingTerms): Binding | undefined {
    const identity = bindingIdentity(destinationKind, destination, routingKey, args)
    return this.exchanges.get(source)?.sourceBindings.get(identity)
  }

  /** Removes a binding; a source that is to go with its last one goes. */
  unbind(binding: Binding, by = INTERNAL_USER): void {
    this.#dropBinding(binding, by)
    this.#autoDelete(binding.source, by)
    this.#context.topologyChanged()
  }

  get clock(): Clock {
    return this.#context.clock
  }

  get codec(): MessageCodec {
    return this.#context.codec
  }

  /** A channel has closed: what it counted goes on in the vhost's. */
  channelClosed(counts: MessageCounts): void {
    this.counts.confirmed += counts.confirmed
    this.counts.returned += counts.returned
    this.counts.dropped += counts.dropped
  }

  /** The broker ends: nothing happens here by itself any more. */
  stop(): void {
    this.#policyChanges++
    this.#governing = Promise.resolve()
    for (const queue of this.queues.values()) queue.stop()
    for (const exchange of this.exchanges.values()) exchange.delaying?.delays.stop()
  }

  /** Ends everything in it. The caller sees to it that nobody is connected any more. */
  delete(): void {
    for (const queue of [...this.queues.values()]) this.deleteQueue(queue)
    for (const exchange of [...this.exchanges.values()]) {
      for (const binding of [...exchange.sourceBindings.values()]) this.#dropBinding(binding)
      if (!PREDECLARED_NAMES.has(exchange.name)) this.deleteExchange(exchange)
    }
    this.exchanges.clear()
  }

  get residentBudget(): ResidentBudget {
    return this.#context.residentBudget
  }

  spillLog(): QueueLog {
    return this.#context.store.spill()
  }

  levelLog(): QueueLog {
    return this.#context.store.log()
  }

  idLog(): IdLog {
    return this.#context.store.ids()
  }

  refused(message: Message): void {
    this.#exchangeRules.refused(message)
  }

  logsChanged(queue: Queue): void {
    this.#context.save(queueDefinition(queue))
  }

  whenDurable(callback: () => void): void {
    this.#context.store.whenDurable(callback)
  }

  deaths(queueType: string): DeathCounts {
    return this.#context.deaths(queueType)
  }

  deadLetter(queue: Queue, message: Message, reason: DeathReason): void {
    this.firehose?.deadLettered(message, queue.name, reason, queue.rules.deadLetterExchange ?? '')
    this.#deadLetters.add(queue, message, reason)
  }

  deadLetterSurely(queue: Queue, entry: Entry, reason: DeathReason): void {
    this.#deadLetters.add(queue, entry.message, reason, entry)
  }

  queueUnused(queue: Queue): void {
    if (!this.replyQueues.delete(queue.name)) {
      this.deleteQueue(queue)
      return
    }
    this.#context.topologyChanged()
    queue.delete('queue-deleted')
  }

  queueReadFailed(queue: Queue, error: unknown): void {
    this.#context.logger.error(
      { vhost: this.name, queue: queue.name, err: error },
      'a page of the queue cannot be read now; it is set aside and tried again',
    )
  }

  queueReadable(queue: Queue, count: number): void {
    this.#context.logger.warn({ vhost: this.name, queue: queue.name, count }, 'messages of the queue can be read again')
  }

  /** Delivers a message that has waited before an exchange. */
  #release(exchange: Exchange, { message, copies }: DelayedMessage): void {
    const routes = new Routes()
    routes.begin()
    const { deduplication } = exchange
    if (deduplication !== null) deduplication.exempt = message
    exchange.delaying!.release(message, () => {
      route(exchange, message, routes, (name) => this.exchanges.get(name), copies)
    })
    if (deduplication !== null) deduplication.exempt = null
    deliver(routes, message, copies)
  }

  /** Gives a message that was published before to a destination that has come since. */
  #replay(message: Message, destination: Queue | Exchange): void {
    if (destination instanceof Queue) {
      destination.publish(message, null, 0)
      return
    }
    const routes = new Routes()
    routes.begin()
    route(destination, message, routes, (name) => this.exchanges.get(name))
    deliver(routes, message, NO_KEYS)
  }

  /** What a queue counted goes on in the vhost's, but for what was published, which the vhost counts once itself. */
  #retire({ counts, rules }: Queue): void {
    const { published } = this.counts
    this.counts.add(counts)
    this.counts.published = published
    let retired = this.retired.get(rules.type)
    if (retired === undefined) this.retired.set(rules.type, (retired = new MessageCounts()))
    retired.add(counts)
  }

  /** Removes a binding from both ends and from the store. */
  #dropBinding(binding: Binding, by = INTERNAL_USER): void {
    if (binding.source.unbind(binding.identity) === undefined) return
    binding.queue?.bindings.delete(binding)
    if (isDurable(binding)) this.#context.remove(bindingDefinition(this.name, binding))
    this.#tell('binding.deleted', by, () => bindingFacts(binding))
  }

  /** An auto-delete exchange goes when its last binding as a source has gone. */
  #autoDelete(exchange: Exchange, by: string): void {
    if (exchange.autoDelete && exchange.sourceBindings.size === 0) this.deleteExchange(exchange, by)
  }

  #tell(event: string, by: string, facts: () => EventFacts): void {
    this.#context.events.emit(event, () => ({ ...facts(), vhost: this.name, user_who_performed_action: by }))
  }

  /** Resolves when queues know what they hold that must, but for what the disk does not give. */
  async #known(): Promise<void> {
    const unknown = Array.from(this.queues.values()).filter(({ rules, opened }) => !opened && mustKnow(rules))
    await Promise.all(unknown.map((queue) => new Promise((resolve) => queue.whenOpened(resolve))))
  }

  async #govern(change: number): Promise<void> {
    let left = GOVERNED_AT_ONCE
    for (const step of this.#steps()) {
      if (left-- === 0) {
        this.#context.topologyChanged()
        await this.#slices.next()
        left = GOVERNED_AT_ONCE
      }
      // The next change begins anew, and ends for both.
      if (change !== this.#policyChanges) return this.#governing
      step()
    }
    this.#context.topologyChanged()
    await this.#known()
  }

  /**
   * All that is to be done so that everything here goes by the policies. What a queue drops comes last: its dead letters
   * must find queues and exchanges that go by them.
   */
  *#steps(): Generator<() => void> {
    const queues = [...this.queues.values()]
    for (const exchange of [...this.exchanges.values()]) yield () => this.#governExchange(exchange)
    for (const queue of queues) yield () => this.#governQueue(queue)
    for (const queue of queues) yield () => queue.enforceRules()
  }

  #governQueue(queue: Queue): void {
    if (queue.deleted) return
    const effective = this.effective(queue)
    queue.governance = governanceOf(effective)
    queue.applyRules(queueRules(effective.arguments))
  }

  #governExchange(exchange: Exchange): void {
    if (this.exchanges.get(exchange.name) !== exchange) return
    const otherLogs = this.#exchangeRules.apply(exchange, this.effective(exchange), hasRecord(exchange))
    if (otherLogs) this.#context.save(exchangeDefinition(this.name, exchange))
  }

  /** A new queue goes by the policies from the start. */
  #governed(queue: Queue): Queue {
    const effective = this.effective(queue)
    queue.governance = governanceOf(effective)
    if (queue.governance !== null) queue.applyRules(queueRules(effective.arguments))
    return queue
  }

  #addExchange(name: string, properties: ExchangeProperties, logs: ExchangeLogs = {}): Exchange {
    const exchange = createExchange(name, properties, this.#context.codec)
    if (exchange instanceof RecentHistoryExchange && exchange.durable) {
      exchange.keepIn(this.#context.store.delays(() => undefined, true, logs.history))
    }
    // With the logs that it had, whether its arguments ask for them or a policy, or a policy did.
    this.#exchangeRules.apply(exchange, this.effective(exchange), hasRecord(exchange), logs)
    this.exchanges.set(name, exchange)
    return exchange
  }

  #restoreExchange(definition: ExchangeDefinition): void {
    const exchange = this.#addExchange(definition.name, { ...definition, durable: true }, definition)
    exchange.user = definition.user ?? null
    const history = exchange instanceof RecentHistoryExchange ? exchange.log?.id : undefined
    // It was stored by a broker that kept none.
    if (history !== definition.history) this.#context.save(exchangeDefinition(this.name, exchange))
  }

  #restoreQueue(definition: QueueDefinition): void {
    const { store } = this.#context
    const levels = new Map<number, QueueLog>()
    for (const { priority, log } of definition.levels ?? []) levels.set(priority, store.log(log))
    // Quorum queues that were declared before they had levels go on without.
    const unranked = definition.levels === undefined && hasOwnLevels(definition.arguments)
    const properties = { ...definition, durable: true, owner: null, user: definition.user ?? null }
    const ids = definition.ids === undefined ? null : store.ids(definition.ids)
    const queue = new Queue(properties, store.log(definition.log), this, unranked ? null : levels, ids)
    if (definition.paused === true) queue.pause()
    this.queues.set(definition.name, this.#governed(queue))
  }

  #restoreBinding(definition: BindingDefinition): void {
    const source = this.exchanges.get(definition.source)
    const ends = definition.destinationKind === 'queue' ? this.queues : this.exchanges
    const destination = ends.get(definition.destination)
    if (source === undefined || destination === undefined) return
    const binding = new Binding(source, destination, definition.routingKey, definition.arguments)
    if (source.bind(binding)) binding.queue?.bindings.add(binding)
  }
}

/** Whether an exchange has a record in which its logs could be named: those that are always there have none. */
function hasRecord({ durable, name }: Exchange): boolean {
  return durable && !PREDECLARED_NAMES.has(name)
}

/** Gives a message that no client is waiting for to all that it was routed to. */
function deliver(routes: Routes, message: Message, copies: readonly string[]): void {
  for (let i = 0; i < routes.length; i++) routes.queues[i]!.publish(message, null, 0)
  for (let i = 0; i < routes.detourCount; i++) routes.detours[i]!.take(message, copies, null, 0)
}
