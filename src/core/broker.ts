// The broker: its vhosts, its users, and the sessions of those who are here.
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/log.ts'
import { Access, type Rights, type User } from './access.ts'
import { publicCredential, type Credential, type PasswordRule } from './access/password.ts'
import { Alarms } from './alarms.ts'
import { Announcements } from './announcements.ts'
import { STRICT_RULES, type DeclarationRules } from './arguments.ts'
import type { ConnectionView } from './clients.ts'
import { Churn, DeathCounts, Histogram, SIZE_BOUNDS } from './counts.ts'
import type { Definition, VHostDefinition } from './definitions.ts'
import { BrokerError } from './errors.ts'
import { Events, INTERNAL_USER, type EventFacts } from './events.ts'
import { InputWindow } from './input-window.ts'
import { Pace } from './pace.ts'
import { Parameters } from './parameters.ts'
import { PublishRates } from './publish-rates.ts'
import { Policies } from './policies.ts'
import { Quotas, type NodeLimits } from './quotas.ts'
import { RecentErrors } from './recent-errors.ts'
import type { MessageCodec, Store } from './ports.ts'
import { ResidentBudget } from './queue/resident-budget.ts'
import { Resources, type ResourceLimits, type ResourceReadings } from './resources.ts'
import { Session } from './session.ts'
import { VHost, type VHostContext } from './vhost.ts'
import { VHostDefaults, type VHostDefaultsOptions } from './vhost-defaults.ts'

/** What a broker is built of. */
export interface BrokerOptions {
  readonly store: Store
  readonly clock: Clock
  readonly codec: MessageCodec
  readonly logger: Logger
  /** The node's name, as `leveret@host`. */
  readonly nodeName?: string | undefined
  readonly loopbackUsers?: readonly string[] | undefined
  readonly passwordRule?: PasswordRule | undefined
  readonly limits?: NodeLimits | undefined
  readonly declarations?: DeclarationRules | undefined
  /** What vhosts to come are made with. */
  readonly vhostDefaults?: VHostDefaultsOptions | undefined
  readonly resources: { readonly limits: ResourceLimits; readonly readings: ResourceReadings }
}

/** What is made when the store is empty. */
export interface FirstStart {
  readonly user: string
  readonly password: string
  /** The user's tags; without them, administrator. */
  readonly tags?: readonly string[] | undefined
  readonly vhost: string
  /** What the user may do there; without it, everything. */
  readonly rights?: Rights | undefined
}

/** Owns the vhosts. Knows no protocol and no disk. */
export class Broker implements VHostContext {
  readonly store: Store
  readonly clock: Clock
  readonly codec: MessageCodec
  readonly logger: Logger
  readonly access: Access
  readonly policies: Policies
  readonly quotas: Quotas
  readonly declarations: DeclarationRules
  readonly parameters: Parameters
  readonly alarms = new Alarms()
  readonly pace: Pace
  readonly rates: PublishRates
  readonly resources: Resources
  /** What the queues keep in memory together. */
  readonly residentBudget: ResidentBudget
  readonly window = new InputWindow()
  readonly vhosts = new Map<string, VHost>()
  readonly sessions = new Set<Session>()
  /** Who is connected, by name. Kept by the front ends, through `connectionOpened` and `connectionClosed`. */
  readonly connections = new Map<string, ConnectionView>()
  readonly churn = new Churn()
  readonly announcements = new Announcements()
  readonly events: Events
  readonly nodeName: string
  /** The bodies of published messages, in bytes. */
  readonly sizes = new Histogram(SIZE_BOUNDS)
  readonly #vhostDefaults: VHostDefaults
  /** What queues gave up, by their type. */
  readonly #deaths = new Map<string, DeathCounts>()
  /** Why channels and connections were closed of late. */
  readonly recentErrors = new RecentErrors()
  /** Counts what was enlisted to be kept: a command that moved it is answered when that is on disk. */
  durableChanges = 0
  /** Changes of definitions that are not yet on disk. */
  #unwritten = 0
  #topologyVersion = 0
  #queuesOpened = Promise.resolve()

  constructor(options: BrokerOptions) {
    this.store = options.store
    this.clock = options.clock
    this.codec = options.codec
    this.nodeName = options.nodeName ?? 'leveret@localhost'
    this.events = new Events(this)
    this.logger = this.events.logging(options.logger)
    this.alarms.watch = (event, alarm) =>
      this.events.emit(event, () => ({ source: { memory: 'memory', disk: 'disk' }[alarm], node: this.nodeName }))
    this.pace = new Pace(options.clock, options.store)
    const { limits, readings } = options.resources
    this.resources = new Resources(limits, readings, this.alarms, this.logger)
    this.residentBudget = new ResidentBudget(this.resources)
    this.resources.whileTight(() => this.residentBudget.relieve())
    this.policies = new Policies(this, (vhost) => this.vhosts.get(vhost)?.policiesChanged())
    this.declarations = options.declarations ?? STRICT_RULES
    this.#vhostDefaults = new VHostDefaults(options.vhostDefaults ?? {})
    this.parameters = new Parameters(this)
    this.rates = new PublishRates(options.clock)
    this.quotas = new Quotas(this, this.rates)
    if (options.limits !== undefined) this.quotas.node = options.limits
    this.access = new Access({
      store: this,
      clock: options.clock,
      logger: this.logger,
      told: (event, facts) => this.events.emit(event, () => ({ ...facts, user_who_performed_action: INTERNAL_USER })),
      userDeleted: (name) => {
        this.quotas.userDeleted(name)
        this.recentErrors.userDeleted(name)
        this.#closeConnections(({ user }) => user === name, `user '${name}' is deleted`)
      },
      ...(options.loopbackUsers ? { loopbackUsers: options.loopbackUsers } : {}),
      ...(options.passwordRule ? { passwordRule: options.passwordRule } : {}),
    })
  }

  /** Grows when topology or rights change: what was looked up under an older version must be looked up again. */
  get version(): number {
    return this.#topologyVersion + this.access.version
  }

  /** Takes over what the store held. Bindings need their ends, so the order is by kind. */
  load(definitions: readonly Definition[]): void {
    this.access.load(definitions)
    this.policies.load(definitions)
    this.quotas.load(definitions)
    this.parameters.load(definitions)
    for (const definition of definitions) {
      // RabbitMQ: the firehose is off after a restart.
      if (definition.kind === 'vhost') this.#addVHost({ ...definition, tracing: false })
    }
    for (const kind of ['exchange', 'queue', 'binding'] as const) {
      for (const definition of definitions) {
        if (definition.kind === kind) this.vhosts.get(definition.vhost)?.restore(definition)
      }
    }
  }

  /** Reads what is not a definition, and is needed before the first client comes. */
  async recall(): Promise<void> {
    for (const vhost of this.vhosts.values()) await vhost.recall()
  }

  /** Everything is loaded that there is before the first client comes. */
  async start(): Promise<void> {
    for (const vhost of this.vhosts.values()) await vhost.start()
  }

  /** Resolves when it is known what all queues hold, but for those of which the disk does not give that now. */
  get queuesOpened(): Promise<void> {
    return this.#queuesOpened
  }

  /** Finds out what queues hold of which nobody has asked yet. */
  openQueues(): void {
    this.#queuesOpened = this.store.openLogs()
  }

  /** Whether the store held neither vhosts nor users. RabbitMQ: only then are the defaults made. */
  get vacant(): boolean {
    return this.vhosts.size === 0 && this.access.users.next().done === true
  }

  /**
   * Makes the first vhost and the first user, who may do everything in it. All is enlisted in one turn, so that it comes
   * into one batch: a vhost without a user, or the other way round, would never be taken for a first start again.
   */
  async firstStart(defaults: FirstStart): Promise<void> {
    const { user, password, tags = ['administrator'] } = defaults
    const credential = publicCredential(password) ?? (await this.access.credential({ password, asItIs: true }))
    // It hashes the passwords of others first: nothing may be enlisted before.
    await this.createVHost(defaults.vhost, 'Default virtual host')
    await this.access.putUser(user, credential, tags)
    const { vhost, rights = { configure: '.*', write: '.*', read: '.*' } } = defaults
    this.access.putPermission(user, vhost, rights)
  }

  /**
   * Makes a vhost, with the users, operator policies and limits that the settings say. The passwords of users who are
   * not there yet are hashed first; then all is enlisted in one turn. Whoever asks while somebody else makes it has
   * theirs.
   * @throws BrokerError precondition-failed when there are as many vhosts as there may be
   */
  async createVHost(name: string, description: string, tags: readonly string[] = []): Promise<VHost> {
    this.quotas.checkVHost(name, this.vhosts.size)
    const newcomers = await this.#newcomers(name)
    return this.vhosts.get(name) ?? this.#makeVHost(name, description, tags, newcomers)
  }

  /** What is kept of the passwords of those users of a vhost to come who are not there yet, by name. */
  async #newcomers(vhost: string): Promise<ReadonlyMap<string, Credential>> {
    const newcomers = new Map<string, Credential>()
    for (const { name, password } of this.#vhostDefaults.users(vhost)) {
      if (this.access.user(name) !== undefined) continue
      newcomers.set(name, await this.access.credential(password === null ? null : { password, asItIs: true }))
    }
    return newcomers
  }

  #makeVHost(
    name: string,
    description: string,
    tags: readonly string[],
    newcomers: ReadonlyMap<string, Credential>,
  ): VHost {
    // Others may have been made meanwhile.
    this.quotas.checkVHost(name, this.vhosts.size)
    const definition: VHostDefinition = { kind: 'vhost', name, description, tags }
    this.save(definition)
    const vhost = this.#addVHost(definition)
    const facts = { name, tracing: false, description, tags, user_who_performed_action: INTERNAL_USER }
    this.events.emit('vhost.created', () => facts)
    this.quotas.limitVHost(name, this.#vhostDefaults.limits(name))
    for (const policy of this.#vhostDefaults.operatorPolicies(name)) this.policies.put(policy)
    for (const user of this.#vhostDefaults.users(name)) {
      const credential = newcomers.get(user.name)
      if (credential !== undefined) this.access.addUser(user.name, credential, user.tags)
      // Somebody may have been deleted while the passwords of others were hashed.
      if (this.access.user(user.name) !== undefined) this.access.putPermission(user.name, name, user.rights)
    }
    return vhost
  }

  /**
   * The vhost of this name, which the user may open.
   * @throws BrokerError not-allowed: no such vhost, a limit is reached, or the user has no permission in it
   */
  admit(user: User, vhostName: string): VHost {
    this.quotas.checkNode()
    const vhost = this.vhosts.get(vhostName)
    if (vhost === undefined) throw new BrokerError('not-allowed', `vhost ${vhostName} not found`)
    this.quotas.checkConnection(user.name, vhostName)
    if (this.access.mayOpen(user.name, vhostName)) return vhost
    throw new BrokerError('not-allowed', `access to vhost '${vhostName}' refused for user '${user.name}'`)
  }

  /** The type of queues in a vhost that ask for none: its own, or the node's. */
  defaultQueueType(vhost: VHost): string {
    return vhost.definition.defaultQueueType ?? this.declarations.defaultType
  }

  /** Queues in all vhosts. */
  get queueCount(): number {
    let count = 0
    for (const { queues } of this.vhosts.values()) count += queues.size
    return count
  }

  /** Exchanges in all vhosts. */
  get exchangeCount(): number {
    let count = 0
    for (const { exchanges } of this.vhosts.values()) count += exchanges.size
    return count
  }

  /** Lets a user into a vhost that they may open. */
  openSession(user: User, vhost: VHost): Session {
    const session = new Session(this, user, vhost)
    this.sessions.add(session)
    this.quotas.connectionOpened(user.name, vhost.name)
    return session
  }

  sessionClosed(session: Session): void {
    if (this.sessions.delete(session)) this.quotas.connectionClosed(session.user.name, session.vhost.name)
  }

  /** The broker ends: nothing more happens by itself, so that the store can be closed. */
  stop(): void {
    this.resources.stop()
    for (const vhost of this.vhosts.values()) vhost.stop()
  }

  connectionOpened(connection: ConnectionView): void {
    this.connections.set(connection.name, connection)
    this.churn.connectionsOpened++
    this.events.emit('connection.created', () => ({ ...connectionFacts(connection), node: this.nodeName }))
  }

  connectionClosed(connection: ConnectionView): void {
    if (this.connections.get(connection.name) !== connection) return
    this.connections.delete(connection.name)
    this.churn.connectionsClosed++
    const { name, user, vhost } = connection
    const facts = { name, user, vhost, user_who_performed_action: user, node: this.nodeName }
    this.events.emit('connection.closed', () => facts)
  }

  /** Replaces what is kept of a vhost beside its contents. */
  updateVHost(vhost: VHost, changes: Partial<Omit<VHostDefinition, 'kind' | 'name'>>): void {
    const traced = vhost.definition.tracing ?? false
    vhost.definition = { ...vhost.definition, ...changes }
    const tracing = vhost.definition.tracing ?? false
    if (tracing !== traced) this.#trace(vhost, tracing)
    this.save(vhost.definition)
  }

  /**
   * Deletes a vhost with all that is in it; its clients are told to go.
   * @throws BrokerError not-found, precondition-failed (protected from deletion)
   */
  deleteVHost(name: string): void {
    const vhost = this.vhosts.get(name)
    if (vhost === undefined) throw new BrokerError('not-found', `vhost '${name}' not found`)
    if (vhost.definition.protected === true) {
      throw new BrokerError('precondition-failed', `vhost '${name}' is protected from deletion`)
    }
    this.vhosts.delete(name)
    this.#closeConnections(({ vhost: theirs }) => theirs === name, `vhost '${name}' is deleted`)
    vhost.delete()
    this.access.vhostDeleted(name)
    this.policies.vhostDeleted(name)
    this.quotas.vhostDeleted(name)
    this.parameters.vhostDeleted(name)
    this.remove(vhost.definition)
    this.topologyChanged()
    this.events.emit('vhost.deleted', () => ({ name, user_who_performed_action: INTERNAL_USER }))
  }

  deaths(queueType: string): DeathCounts {
    let deaths = this.#deaths.get(queueType)
    if (deaths === undefined) this.#deaths.set(queueType, (deaths = new DeathCounts()))
    return deaths
  }

  topologyChanged(): void {
    this.#topologyVersion++
  }

  /** Whether definitions are on their way to disk: what finds them as they are to be must not be answered before. */
  get definitionsWaiting(): boolean {
    return this.#unwritten > 0
  }

  save(definition: Definition): void {
    this.store.save(definition)
    this.#definitionsChanged()
    this.#tellOf(definition, KEPT)
  }

  remove(definition: Definition): void {
    this.store.remove(definition)
    this.#definitionsChanged()
    this.#tellOf(definition, FORGOTTEN)
  }

  #closeConnections(meant: (connection: ConnectionView) => boolean, reason: string): void {
    for (const connection of [...this.connections.values()]) if (meant(connection)) connection.closeByOperator(reason)
  }

  #tellOf(definition: Definition, events: DefinitionEvents): void {
    const cleared = events === FORGOTTEN && definition.kind === 'policy' && definition.operator
    const event = cleared ? 'operator.policy.cleared' : events[definition.kind]
    if (event === undefined) return
    this.events.emit(event, () => definitionFacts(definition))
  }

  #definitionsChanged(): void {
    this.durableChanges++
    this.#unwritten++
    this.store.whenDurable(this.#definitionWritten)
  }

  readonly #definitionWritten = (): void => {
    this.#unwritten--
  }

  #trace(vhost: VHost, on: boolean): void {
    vhost.trace(on)
    this.topologyChanged()
    for (const session of this.sessions) if (session.vhost === vhost) session.origin?.tracingChanged(on)
    this.logger.info({ vhost: vhost.name, tracing: on }, 'the firehose was switched')
  }

  #addVHost(definition: VHostDefinition): VHost {
    const vhost = new VHost(definition, this)
    this.vhosts.set(vhost.name, vhost)
    this.topologyChanged()
    return vhost
  }
}

/** The events of what is kept and forgotten, by kind; other kinds are told of by those who own them. */
type DefinitionEvents = { readonly [K in Definition['kind']]?: string }

const KEPT: DefinitionEvents = {
  permission: 'permission.created',
  'topic-permission': 'topic.permission.created',
  policy: 'policy.set',
  'vhost-limits': 'vhost.limits.set',
  'user-limits': 'user.limits.set',
  parameter: 'parameter.set',
  'global-parameter': 'parameter.set',
}
const FORGOTTEN: DefinitionEvents = {
  permission: 'permission.deleted',
  'topic-permission': 'topic.permission.deleted',
  policy: 'policy.cleared',
  'vhost-limits': 'vhost.limits.cleared',
  'user-limits': 'user.limits.cleared',
  parameter: 'parameter.cleared',
  'global-parameter': 'parameter.cleared',
}

/** Those of a definition's facts that are words, in RabbitMQ's spelling. */
function definitionFacts(definition: Definition): EventFacts {
  const facts: Record<string, string | number | boolean> = {}
  for (const [name, value] of Object.entries(definition)) {
    if (name === 'kind') continue
    const spelled = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') facts[spelled] = value
    else if (name === 'definition' || name === 'value') facts[spelled] = JSON.stringify(value)
  }
  if (definition.kind === 'vhost-limits') facts['name'] = definition.vhost
  if (definition.kind === 'user-limits') facts['username'] = facts['name'] = definition.user
  return { ...facts, user_who_performed_action: INTERNAL_USER }
}

function connectionFacts(connection: ConnectionView): EventFacts {
  const { name, user, vhost, protocol, host, port, mechanism, channelMax, frameMax, connectedAt } = connection
  return {
    name,
    user,
    vhost,
    type: 'network',
    protocol,
    host,
    port,
    peer_host: connection.peerHost,
    peer_port: connection.peerPort,
    ssl: connection.tls !== null,
    ssl_protocol: connection.tls?.protocol ?? null,
    ssl_cipher: connection.tls?.cipher ?? null,
    peer_cert_subject: connection.tls?.peer?.subject ?? null,
    auth_mechanism: mechanism,
    channel_max: channelMax,
    frame_max: frameMax,
    timeout: connection.heartbeatSeconds,
    connected_at: connectedAt,
    client_properties: connection.clientProperties,
    user_who_performed_action: user,
  }
}
