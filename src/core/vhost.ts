// A virtual host: its exchanges, its queues and the bindings between them.
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/log.ts'
import type {
  BindingDefinition,
  Definition,
  ExchangeDefinition,
  LevelDefinition,
  QueueDefinition,
  VHostDefinition,
} from './definitions.ts'
import type { Announcements, Outlet } from './announcements.ts'
import { MessageCounts, type Churn, type DeathCounts, type DeathReason } from './counts.ts'
import { ExchangeDeduplication } from './deduplication/exchange-deduplication.ts'
import { exchangeDeduplication } from './deduplication/rules.ts'
import { BrokerError } from './errors.ts'
import { Binding, bindingIdentity } from './exchange/binding.ts'
import { createExchange } from './exchange/exchange-types.ts'
import { DefaultExchange } from './exchange/default.ts'
import { Delaying, delaysMessages } from './exchange/delayed.ts'
import { Delays } from './exchange/delays.ts'
import { RecentHistoryExchange } from './exchange/recent-history.ts'
import { EVENT_EXCHANGE, EVENT_VHOST, INTERNAL_USER, LOG_EXCHANGE, type EventFacts, type Events } from './events.ts'
import { Firehose, TRACE_EXCHANGE } from './firehose.ts'
import { route, type Exchange, type ExchangeProperties } from './exchange/exchange.ts'
import { Routes } from './exchange/routes.ts'
import type { InputWindow } from './input-window.ts'
import { NO_KEYS, type Message } from './message.ts'
import type { DelayedMessage, DelayLog, IdLog, MessageCodec, QueueLog, Store } from './ports.ts'
import { DeadLetters } from './queue/dead-letter.ts'
import type { Entry } from './queue/entry.ts'
import { Queue } from './queue/queue.ts'
import type { QueueContext, QueueProperties } from './queue/queue-context.ts'
import type { ResidentBudget } from './queue/resident-budget.ts'
import { hasOwnLevels, queueRules } from './queue/rules.ts'
import type { Effective, Governance, Policies } from './policies.ts'
import { replyQueueName } from './reply-to.ts'
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

/** The ids of the logs that an exchange had. */
type ExchangeLogs = Pick<ExchangeDefinition, 'delays' | 'ids' | 'history'>

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
  /** What queues have refused, as long as there are exchanges that must know. */
  #refused: WeakSet<Message> | null = null

  constructor(definition: VHostDefinition, context: VHostContext) {
    this.name = definition.name
    this.definition = definition
    this.window = context.window
    this.#context = context
    this.#deadLetters = new DeadLetters(this, context)
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

  /** What holds for a queue or an exchange by its arguments and the policies. */
  effective(subject: Queue | Exchange): Effective {
    const kind = subject instanceof Queue ? 'queue' : 'exchange'
    return this.#context.policies.effective(this.name, { kind, name: subject.name, arguments: subject.arguments })
  }

  /** Policies are others than before: what is here goes by them at once. */
  policiesChanged(): void {
    for (const queue of [...this.queues.values()]) {
      const effective = this.effective(queue)
      queue.governance = governanceOf(effective)
      queue.applyRules(queueRules(effective.arguments))
    }
    for (const exchange of this.exchanges.values()) this.#applyPolicies(exchange)
    this.#context.topologyChanged()
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
    if (exchange.durable) this.#context.save(this.#exchangeDefinition(exchange))
    this.#context.topologyChanged()
    this.#tell('exchange.created', by, () => ({
      name,
      type: exchange.type,
      durable: exchange.durable,
      auto_delete: exchange.autoDelete,
      internal: exchange.internal,
      arguments: exchange.arguments,
    }))
    return exchange
  }

  /** Deletes an exchange with all bindings from and to it; upstream auto-delete exchanges may follow. */
  deleteExchange(exchange: Exchange, by = INTERNAL_USER): void {
    if (this.exchanges.get(exchange.name) !== exchange) return
    this.exchanges.delete(exchange.name)
    exchange.delaying?.drop()
    exchange.deduplication?.drop()
    if (exchange instanceof RecentHistoryExchange) exchange.log?.drop()
    if (exchange.durable) this.#context.remove(this.#exchangeDefinition(exchange))
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
    if (queue.durable) this.#context.save(this.#queueDefinition(queue))
    this.#context.churn.queuesCreated++
    this.#context.topologyChanged()
    this.#tell('queue.created', by, () => ({
      name: queue.name,
      durable: queue.durable,
      auto_delete: queue.autoDelete,
      exclusive: queue.owner !== null,
      type: queue.rules.type,
      arguments: queue.arguments,
    }))
    return queue
  }

  /** Deletes a queue with its messages and bindings. Returns how many messages were ready. */
  deleteQueue(queue: Queue, by = INTERNAL_USER): number {
    if (queue.deleted) return 0
    const count = queue.readyCount
    this.queues.delete(queue.name)
    if (queue.durable) this.#context.remove(this.#queueDefinition(queue))
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
    if (queue.durable) this.#context.save(this.#queueDefinition(queue))
  }

  /** Adds a queue for direct replies. It goes with its one consumer. */
  addReplyQueue(): Queue {
    const properties = { durable: false, owner: null, autoDelete: true, arguments: NO_ARGUMENTS, user: null }
    const queue = new Queue({ ...properties, name: replyQueueName(), vhost: this.name }, null, this)
    this.replyQueues.set(queue.name, queue)
    this.#context.topologyChanged()
    return queue
  }

  /** Adds a binding; the same again changes nothing. Both ends exist. */
  bind(
    source: Exchange,
    destination: Queue | Exchange,
    routingKey: string,
    args: FieldTable,
    by = INTERNAL_USER,
  ): void {
    const binding = new Binding(source, destination, routingKey, args)
    if (!source.bind(binding)) return
    binding.queue?.bindings.add(binding)
    if (this.#durable(binding)) this.#context.save(this.#bindingDefinition(binding))
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
    this.#refused?.add(message)
  }

  logsChanged(queue: Queue): void {
    this.#context.save(this.#queueDefinition(queue))
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
    if (this.#durable(binding)) this.#context.remove(this.#bindingDefinition(binding))
    this.#tell('binding.deleted', by, () => bindingFacts(binding))
  }

  /** An auto-delete exchange goes when its last binding as a source has gone. */
  #autoDelete(exchange: Exchange, by: string): void {
    if (exchange.autoDelete && exchange.sourceBindings.size === 0) this.deleteExchange(exchange, by)
  }

  #tell(event: string, by: string, facts: () => EventFacts): void {
    this.#context.events.emit(event, () => ({ ...facts(), vhost: this.name, user_who_performed_action: by }))
  }

  #applyPolicies(exchange: Exchange): void {
    // RabbitMQ: the default exchange has no alternate.
    if (exchange.name === '') return
    const effective = this.effective(exchange)
    exchange.governance = governanceOf(effective)
    const args = effective.arguments
    const alternate = args.get('alternate-exchange')
    exchange.alternate = alternate?.type === 'longstr' ? alternate.value : null
    const otherIds = this.#deduplicate(exchange, args)
    const otherDelays = this.#delay(exchange, delaysMessages(exchange.type, exchange.arguments, effective.definition))
    if (otherIds || otherDelays) this.#context.save(this.#exchangeDefinition(exchange))
  }

  /** Has an exchange delay messages, or no more. Returns whether it has a log for them that it had not. */
  #delay(exchange: Exchange, active: boolean, delays?: number): boolean {
    if (exchange.delaying !== null) exchange.delaying.active = active
    if (exchange.delaying !== null || (!active && delays === undefined)) return false
    // The exchanges that are always there have no record in which a log could be named.
    const kept = exchange.durable && !PREDECLARED_NAMES.has(exchange.name)
    const open = (stored: (due: number) => void): DelayLog => this.#context.store.delays(stored, kept, delays)
    const waiting = new Delays(open, this.#context, (delayed) => this.#release(exchange, delayed))
    exchange.delaying = new Delaying(waiting, this.#context.codec)
    exchange.delaying.active = active
    return kept && delays === undefined
  }

  /** Does as the arguments say about duplicates. Returns whether the exchange has another log, or one less. */
  #deduplicate(exchange: Exchange, args: FieldTable, ids?: number): boolean {
    const rules = exchangeDeduplication(exchange.type, args)
    const { deduplication } = exchange
    if (rules !== null && deduplication !== null) {
      deduplication.rules = rules
      return false
    }
    if (rules === null) {
      exchange.deduplication = null
      deduplication?.drop()
      return deduplication !== null && deduplication.log !== null
    }
    // The exchanges that are always there have no record in which a log could be named.
    const kept = exchange.durable && !PREDECLARED_NAMES.has(exchange.name)
    const log = kept ? this.#context.store.ids(ids) : null
    this.#refused ??= new WeakSet()
    const { clock, codec, store } = this.#context
    const context = { clock, codec, store, counts: this.counts, refused: this.#refused }
    exchange.deduplication = new ExchangeDeduplication(rules, log, context)
    return log !== null && log.id !== ids
  }

  /** A new queue goes by the policies from the start. */
  #governed(queue: Queue): Queue {
    const effective = this.effective(queue)
    queue.governance = governanceOf(effective)
    if (queue.governance !== null) queue.applyRules(queueRules(effective.arguments))
    return queue
  }

  #addExchange(name: string, properties: ExchangeProperties, logs: ExchangeLogs = {}): Exchange {
    const { delays, ids, history } = logs
    const exchange = createExchange(name, properties, this.#context.codec)
    if (exchange instanceof RecentHistoryExchange && exchange.durable) {
      exchange.keepIn(this.#context.store.delays(() => undefined, true, history))
    }
    if (name !== '') {
      // With the logs that it had, whether its arguments ask for them or a policy, or a policy did.
      const { arguments: args, definition } = this.effective(exchange)
      this.#deduplicate(exchange, args, ids)
      this.#delay(exchange, delaysMessages(exchange.type, exchange.arguments, definition), delays)
    }
    this.#applyPolicies(exchange)
    this.exchanges.set(name, exchange)
    return exchange
  }

  #restoreExchange(definition: ExchangeDefinition): void {
    const exchange = this.#addExchange(definition.name, { ...definition, durable: true }, definition)
    const history = exchange instanceof RecentHistoryExchange ? exchange.log?.id : undefined
    // It was stored by a broker that kept none.
    if (history !== definition.history) this.#context.save(this.#exchangeDefinition(exchange))
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

  /** RabbitMQ: a binding survives a restart if both its ends do. */
  #durable(binding: Binding): boolean {
    return binding.source.durable && binding.destination.durable
  }

  #exchangeDefinition(exchange: Exchange): Definition {
    const { name, type, autoDelete, internal, arguments: args } = exchange
    const ids = exchange.deduplication?.log ?? null
    const history = exchange instanceof RecentHistoryExchange ? exchange.log : null
    return {
      kind: 'exchange',
      vhost: this.name,
      name,
      type,
      autoDelete,
      internal,
      arguments: args,
      ...(exchange.delaying === null ? {} : { delays: exchange.delaying.id }),
      ...(ids === null ? {} : { ids: ids.id }),
      ...(history === null ? {} : { history: history.id }),
    }
  }

  #queueDefinition(queue: Queue): Definition {
    const { name, autoDelete, arguments: args } = queue
    const levels: LevelDefinition[] = []
    for (const [priority, log] of queue.levelLogs) {
      if (priority > 0 || log !== queue.log) levels.push({ priority, log: log.id })
    }
    return {
      kind: 'queue',
      vhost: this.name,
      name,
      autoDelete,
      arguments: args,
      log: queue.log!.id,
      ...(queue.paused ? { paused: true } : {}),
      ...(queue.user === null ? {} : { user: queue.user }),
      ...(levels.length === 0 ? {} : { levels }),
      ...(queue.ids === null ? {} : { ids: queue.ids.id }),
    }
  }

  #bindingDefinition(binding: Binding): Definition {
    return {
      kind: 'binding',
      vhost: this.name,
      source: binding.source.name,
      destinationKind: binding.destinationKind,
      destination: binding.destination.name,
      routingKey: binding.routingKey,
      arguments: binding.arguments,
    }
  }
}

function governanceOf({ policy, operatorPolicy, definition }: Effective): Governance | null {
  return policy === null && operatorPolicy === null ? null : { policy, operatorPolicy, definition }
}

function bindingFacts(binding: Binding): EventFacts {
  return {
    source_name: binding.source.name,
    source_kind: 'exchange',
    destination_name: binding.destination.name,
    destination_kind: binding.destinationKind,
    routing_key: binding.routingKey,
    arguments: binding.arguments,
  }
}

/** Gives a message that no client is waiting for to all that it was routed to. */
function deliver(routes: Routes, message: Message, copies: readonly string[]): void {
  for (let i = 0; i < routes.length; i++) routes.queues[i]!.publish(message, null, 0)
  for (let i = 0; i < routes.detourCount; i++) routes.detours[i]!.take(message, copies, null, 0)
}
