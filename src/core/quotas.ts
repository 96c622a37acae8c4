// Limits that operators set for a vhost or a user, and what they are counted against.
import { resource } from './arguments/render.ts'
import type { Definition, UserLimitsDefinition, VHostLimitsDefinition } from './definitions.ts'
import { BrokerError } from './errors.ts'
import type { PublishRates } from './publish-rates.ts'

interface Keeper {
  save(definition: Definition): void
  remove(definition: Definition): void
}

/** How many there may be; what is absent or negative sets no limit (RabbitMQ). */
export type VHostLimits = Omit<VHostLimitsDefinition, 'kind' | 'vhost'>
/** The same for a user. */
export type UserLimits = Omit<UserLimitsDefinition, 'kind' | 'user'>

/** How many there may be in all; Infinity sets no limit. */
export interface NodeLimits {
  readonly connections: number
  readonly channels: number
  readonly vhosts: number
  readonly queues: number
  readonly exchanges: number
  /** On one channel. */
  readonly consumers: number
}

/** Any number of everything. */
const NO_NODE_LIMITS: NodeLimits = {
  connections: Infinity,
  channels: Infinity,
  vhosts: Infinity,
  queues: Infinity,
  exchanges: Infinity,
  consumers: Infinity,
}

/** Owns limits and counts. Sentences are RabbitMQ's. */
export class Quotas {
  /** What holds for all together. */
  node = NO_NODE_LIMITS
  #connections = 0
  #channels = 0
  readonly #keeper: Keeper
  readonly #rates: PublishRates
  readonly #vhosts = new Map<string, VHostLimitsDefinition>()
  readonly #users = new Map<string, UserLimitsDefinition>()
  readonly #connectionsByVHost = new Counter()
  readonly #connectionsByUser = new Counter()
  readonly #channelsByUser = new Counter()

  constructor(keeper: Keeper, rates: PublishRates) {
    this.#keeper = keeper
    this.#rates = rates
  }

  /** Takes over what the store held. */
  load(definitions: Iterable<Definition>): void {
    for (const definition of definitions) {
      if (definition.kind === 'vhost-limits') {
        this.#vhosts.set(definition.vhost, definition)
        this.#rates.limit('vhost', definition.vhost, definition)
      } else if (definition.kind === 'user-limits') {
        this.#users.set(definition.user, definition)
        this.#rates.limit('user', definition.user, definition)
      }
    }
  }

  /** The limits of all vhosts that have any. */
  get vhostLimits(): Iterable<VHostLimitsDefinition> {
    return this.#vhosts.values()
  }

  /** The limits of all users who have any. */
  get userLimits(): Iterable<UserLimitsDefinition> {
    return this.#users.values()
  }

  /** The limits of a vhost; undefined when it has none. */
  limitsOfVHost(vhost: string): VHostLimits | undefined {
    return this.#vhosts.get(vhost)
  }

  /** The limits of a user; undefined when they have none. */
  limitsOfUser(user: string): UserLimits | undefined {
    return this.#users.get(user)
  }

  /** Sets the limits of a vhost in place of those that it had; none are left when none are given. */
  limitVHost(vhost: string, limits: VHostLimits): void {
    const definition: VHostLimitsDefinition = { kind: 'vhost-limits', vhost, ...limits }
    this.#rates.limit('vhost', vhost, limits)
    if (Object.keys(limits).length > 0) {
      this.#vhosts.set(vhost, definition)
      this.#keeper.save(definition)
    } else if (this.#vhosts.delete(vhost)) this.#keeper.remove(definition)
  }

  /** The same for a user. */
  limitUser(user: string, limits: UserLimits): void {
    const definition: UserLimitsDefinition = { kind: 'user-limits', user, ...limits }
    this.#rates.limit('user', user, limits)
    if (Object.keys(limits).length > 0) {
      this.#users.set(user, definition)
      this.#keeper.save(definition)
    } else if (this.#users.delete(user)) this.#keeper.remove(definition)
  }

  /** Connections that are open in a vhost. */
  connectionsIn(vhost: string): number {
    return this.#connectionsByVHost.count(vhost)
  }

  /** Whether there are as many connections as there may be in all. */
  get full(): boolean {
    return this.#connections >= this.node.connections
  }

  /** @throws BrokerError not-allowed when there are as many connections as there may be in all */
  checkNode(): void {
    const max = this.node.connections
    if (!this.full) return
    throw new BrokerError('not-allowed', `connection refused: node connection limit (${max}) is reached`)
  }

  /** @throws BrokerError not-allowed when the vhost or the user has as many connections as it may have */
  checkConnection(user: string, vhost: string): void {
    const inVHost = limit(this.#vhosts.get(vhost)?.maxConnections)
    if (this.#connectionsByVHost.count(vhost) >= inVHost) {
      const sentence = `access to vhost '${vhost}' refused for user '${user}': connection limit (${inVHost}) is reached`
      throw new BrokerError('not-allowed', sentence)
    }
    const ofUser = limit(this.#users.get(user)?.maxConnections)
    if (this.#connectionsByUser.count(user) >= ofUser) {
      const sentence = `connection refused for user '${user}': user connection limit (${ofUser}) is reached`
      throw new BrokerError('not-allowed', sentence)
    }
  }

  /** @throws BrokerError not-allowed when the user, or the node, has as many channels as there may be */
  checkChannel(user: string, node: string): void {
    const max = limit(this.#users.get(user)?.maxChannels)
    if (this.#channelsByUser.count(user) >= max) {
      const sentence = `number of channels opened for user '${user}' has reached the maximum allowed user limit of ${max}`
      throw new BrokerError('not-allowed', sentence)
    }
    const { channels } = this.node
    if (this.#channels < channels) return
    const sentence = `number of channels opened on node '${node}' has reached the maximum allowed limit of ${channels}`
    throw new BrokerError('not-allowed', sentence)
  }

  /**
   * Checks that there may be one more queue beside those in its vhost, and those in all.
   * @throws BrokerError precondition-failed
   */
  checkQueue(vhost: string, queue: string, queues: { readonly here: number; readonly all: number }): void {
    const max = limit(this.#vhosts.get(vhost)?.maxQueues)
    const refuse = (where: string, most: number): never => {
      const sentence = `cannot declare queue '${queue}': queue limit in ${where} (${most}) is reached`
      throw new BrokerError('precondition-failed', sentence)
    }
    if (queues.here >= max) refuse(`vhost '${vhost}'`, max)
    if (queues.all >= this.node.queues) refuse('cluster', this.node.queues)
  }

  /** @throws BrokerError precondition-failed when there are as many vhosts as there may be */
  checkVHost(vhost: string, vhosts: number): void {
    const max = this.node.vhosts
    if (vhosts < max) return
    throw new BrokerError('precondition-failed', `cannot create vhost '${vhost}': vhost limit of ${max} is reached`)
  }

  /** @throws BrokerError precondition-failed when there are as many exchanges as there may be in all */
  checkExchange(vhost: string, exchange: string, exchanges: number): void {
    const max = this.node.exchanges
    if (exchanges < max) return
    const sentence = `cannot declare ${resource('exchange', exchange, vhost)}: exchange limit of ${max} is reached`
    throw new BrokerError('precondition-failed', sentence)
  }

  /** @throws BrokerError not-allowed when a channel has as many consumers as it may have */
  checkConsumer(consumers: number): void {
    const max = this.node.consumers
    if (consumers >= max) throw new BrokerError('not-allowed', `reached maximum (${max}) of consumers per channel`)
  }

  /** Counts a connection that was let in. */
  connectionOpened(user: string, vhost: string): void {
    this.#connections++
    this.#connectionsByVHost.add(vhost, 1)
    this.#connectionsByUser.add(user, 1)
  }

  /** Counts it no longer. */
  connectionClosed(user: string, vhost: string): void {
    this.#connections--
    this.#connectionsByVHost.add(vhost, -1)
    this.#connectionsByUser.add(user, -1)
  }

  /** Counts a channel that was let in. */
  channelOpened(user: string): void {
    this.#channels++
    this.#channelsByUser.add(user, 1)
  }

  /** Counts it no longer. */
  channelClosed(user: string): void {
    this.#channels--
    this.#channelsByUser.add(user, -1)
  }

  /** A vhost was deleted, and its limits with it. */
  vhostDeleted(vhost: string): void {
    this.limitVHost(vhost, {})
  }

  /** A user was deleted, and their limits with them. */
  userDeleted(user: string): void {
    this.limitUser(user, {})
  }
}

/** How many of something there are, by name. Names without any are forgotten. */
class Counter {
  readonly #counts = new Map<string, number>()

  count(name: string): number {
    return this.#counts.get(name) ?? 0
  }

  add(name: string, change: number): void {
    const count = this.count(name) + change
    if (count === 0) this.#counts.delete(name)
    else this.#counts.set(name, count)
  }
}

function limit(value: number | undefined): number {
  return value === undefined || value < 0 ? Infinity : value
}
