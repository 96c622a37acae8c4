// Who may log in, and who may do what: the one place that is asked.
import type { Clock } from '../lib/clock.ts'
import { Semaphore } from '../lib/semaphore.ts'
import { silentLogger, type Logger } from '../lib/log.ts'
import { Pattern } from '../lib/pattern.ts'
import { PatternError } from '../lib/pattern/parse.ts'
import {
  checkCredential,
  DECOY,
  hashPassword,
  NO_PASSWORD,
  verifyPassword,
  type Credential,
  type Password,
  type PasswordRule,
} from './access/password.ts'
import { LoginAttempts, type LoginSource } from './access/login-attempts.ts'
import { RecentLogins } from './access/recent-logins.ts'
import type { Definition, PermissionDefinition, TopicPermissionDefinition, UserDefinition } from './definitions.ts'
import { BrokerError } from './errors.ts'
import type { EventFacts } from './events.ts'
import type { Store } from './ports.ts'

/** What a permission is about: RabbitMQ's three. */
export type Right = 'configure' | 'write' | 'read'
/** What a right may be about. */
export type ResourceKind = 'queue' | 'exchange'

/** What a user may see and do beside messages. RabbitMQ's, each including `management`. */
export type Tag = 'management' | 'policymaker' | 'monitoring' | 'administrator'

/** Which of a user's tags stand for a tag that is asked for. RabbitMQ: an administrator is all of the others. */
const IMPLIED_BY: { readonly [T in Tag]: readonly string[] } = {
  management: ['management', 'policymaker', 'monitoring', 'administrator'],
  policymaker: ['policymaker', 'administrator'],
  monitoring: ['monitoring', 'administrator'],
  administrator: ['administrator'],
}

/** Somebody who logged in. */
export interface User {
  readonly name: string
  readonly tags: readonly string[]
}

/**
 * How a user's password is given: itself (`asItIs`: whatever is asked of new ones), as a hash that was made elsewhere, or
 * not at all (no login by password).
 */
export type NewPassword = { readonly password: Password; readonly asItIs?: true } | Credential | null

/** The three patterns of a permission, over resource names. */
export type Rights = Pick<PermissionDefinition, Right>

/** What access control is made with. */
export interface AccessOptions {
  readonly store: Pick<Store, 'save' | 'remove'>
  readonly clock: Clock
  /** Users that may log in from this machine only. */
  readonly loopbackUsers?: readonly string[]
  /** What new passwords have to be like. */
  readonly passwordRule?: PasswordRule
  readonly logger?: Logger
  /** Told when a user is deleted. */
  readonly userDeleted?: (name: string) => void
  /** Told what happens to users, for whoever listens to events. */
  readonly told?: (event: string, facts: EventFacts) => void
}

const LOOPBACK_USERS: readonly string[] = ['guest']
/** At most this many hashes at once: they share libuv's four threads with the store, which must not wait for logins. */
const HASHES_AT_ONCE = 2

/** A password that is being verified, and those who wait for that: a thousand connections of one client cost one. */
interface Verification {
  readonly correct: Promise<boolean>
  readonly sources: (LoginSource | null)[]
}

/** A permission with its patterns ready for use. */
interface Grant {
  readonly definition: PermissionDefinition
  readonly configure: Pattern
  readonly write: Pattern
  readonly read: Pattern
}

/** A topic permission with its patterns ready for use. */
interface TopicGrant {
  readonly definition: TopicPermissionDefinition
  readonly write: Pattern
  readonly read: Pattern
}

/** Owns users and permissions, keeps them in the store, and decides. Front ends and sessions only ask. */
export class Access {
  readonly attempts = new LoginAttempts()
  readonly #store: Pick<Store, 'save' | 'remove'>
  readonly #logger: Logger
  readonly #loopbackUsers: ReadonlySet<string>
  readonly #userDeleted: (name: string) => void
  readonly #told: NonNullable<AccessOptions['told']>
  readonly #users = new Map<string, UserDefinition>()
  /** By user, then by vhost. */
  readonly #grants = new Map<string, Map<string, Grant>>()
  /** By user, vhost and exchange. */
  readonly #topicGrants = new Map<string, TopicGrant>()
  readonly #recent: RecentLogins<UserDefinition>
  readonly #passwordLengthMin: number
  readonly #passwordPattern: Pattern | null
  readonly #hashing = new Semaphore(HASHES_AT_ONCE)
  readonly #verifying = new Map<string, Verification>()
  #version = 0

  constructor(options: AccessOptions) {
    this.#store = options.store
    this.#logger = options.logger ?? silentLogger
    this.#loopbackUsers = new Set(options.loopbackUsers ?? LOOPBACK_USERS)
    const { lengthMin, pattern } = options.passwordRule ?? { lengthMin: 0, pattern: '' }
    this.#passwordLengthMin = lengthMin
    this.#passwordPattern = pattern === '' ? null : new Pattern(pattern)
    this.#userDeleted = options.userDeleted ?? (() => undefined)
    this.#told = options.told ?? (() => undefined)
    this.#recent = new RecentLogins(options.clock)
  }

  /** Grows with each change of a user or a permission: an answer holds for as long as the version stands. */
  get version(): number {
    return this.#version
  }

  get users(): IterableIterator<UserDefinition> {
    return this.#users.values()
  }

  *permissions(): Generator<PermissionDefinition> {
    for (const grants of this.#grants.values()) for (const grant of grants.values()) yield grant.definition
  }

  /** The user of this name. */
  user(name: string): UserDefinition | undefined {
    return this.#users.get(name)
  }

  /** What the user may do in a vhost; undefined when nothing, not even connect. */
  permission(user: string, vhost: string): PermissionDefinition | undefined {
    return this.#grant(user, vhost)?.definition
  }

  /** Takes over what the store held; definitions of other kinds are left to their owners. */
  load(definitions: Iterable<Definition>): void {
    for (const definition of definitions) {
      if (definition.kind === 'user') this.#users.set(definition.name, definition)
      else if (definition.kind === 'permission') this.#permit(definition)
      else if (definition.kind === 'topic-permission') this.#permitTopic(definition)
    }
    this.#version++
  }

  /**
   * The user, if the password is theirs and they may come from there; null otherwise, whatever the reason, which only
   * the log learns. With a `source` the attempt is counted, and waits for those from other addresses no longer than its
   * turn: strangers who try passwords keep nobody else out.
   */
  async authenticate(
    name: string,
    password: Password,
    peerIsLoopback: boolean,
    source: LoginSource | null = null,
  ): Promise<User | null> {
    const refusal = await this.#refusal(name, password, peerIsLoopback, source)
    const from = source === null ? {} : { protocol: source.protocol, peer_host: source.address }
    if (source !== null) this.attempts.count(source, name, refusal === null)
    if (refusal === null) {
      const account = this.#users.get(name)
      if (account) {
        this.#told('user.authentication.success', { name, ...from })
        return { name, tags: account.tags }
      }
    }
    this.#told('user.authentication.failure', { name, ...from })
    this.#logger.info({ user: name, reason: refusal ?? 'the user was deleted meanwhile' }, 'login refused')
    return null
  }

  /** Whether the user has this tag, or one that includes it. */
  tagged(user: User, tag: Tag): boolean {
    return IMPLIED_BY[tag].some((one) => user.tags.includes(one))
  }

  /** Whether the user may know what is in the vhost: who may open it, and who watches over all. */
  sees(user: User, vhost: string): boolean {
    return this.mayOpen(user.name, vhost) || this.tagged(user, 'monitoring')
  }

  /** Whether the user may only log in from this machine. */
  loopbackOnly(user: string): boolean {
    return this.#loopbackUsers.has(user)
  }

  /** Whether the user has a permission in the vhost at all, without which it cannot be opened. */
  mayOpen(user: string, vhost: string): boolean {
    return this.#grant(user, vhost) !== undefined
  }

  /** Whether the user has this right over a resource. The default exchange goes by the name `amq.default`. */
  allowed(user: string, vhost: string, kind: ResourceKind, name: string, right: Right): boolean {
    const grant = this.#grant(user, vhost)
    return grant !== undefined && grant[right].test(resourceName(kind, name))
  }

  /** Throws `access-refused`, with RabbitMQ's sentence, unless the user has this right over the resource. */
  check(user: string, vhost: string, kind: ResourceKind, name: string, right: Right): void {
    if (this.allowed(user, vhost, kind, name, right)) return
    throw new BrokerError(
      'access-refused',
      `${right} access to ${kind} '${resourceName(kind, name)}' in vhost '${vhost}' refused for user '${user}'`,
    )
  }

  /**
   * Throws `access-refused` when a topic permission of the user for this exchange says that they may not publish with
   * this key, or bind by it. Without one they may (RabbitMQ).
   */
  checkTopic(user: string, vhost: string, exchange: string, right: 'write' | 'read', routingKey: string): void {
    if (this.#topicGrants.size === 0) return
    const grant = this.#topicGrants.get(topicKey(user, vhost, exchange))
    if (grant === undefined || grant[right].test(routingKey)) return
    throw new BrokerError(
      'access-refused',
      `${right} access to topic '${routingKey}' in exchange '${exchange}' in vhost '${vhost}' refused for user '${user}'`,
    )
  }

  /** As `check`, but any of the three rights will do: what RabbitMQ (4.3.1) asks of a passive declaration. */
  checkAny(user: string, vhost: string, kind: ResourceKind, name: string): void {
    if (this.allowed(user, vhost, kind, name, 'write') || this.allowed(user, vhost, kind, name, 'read')) return
    this.check(user, vhost, kind, name, 'configure')
  }

  /**
   * Adds a user, or replaces tags and password of the one with this name.
   *
   * @throws BrokerError precondition-failed: a hash that could never be verified, or a password unlike what is asked for
   */
  async putUser(name: string, password: NewPassword, tags: readonly string[]): Promise<void> {
    this.#keepUser(name, await this.credential(password), tags)
  }

  /** Adds a user whose password is hashed already, unless there is one of this name: they stay as they are. */
  addUser(name: string, credential: Credential, tags: readonly string[]): void {
    if (!this.#users.has(name)) this.#keepUser(name, credential, tags)
  }

  /**
   * What is kept of a new password. To hash one takes a while.
   *
   * @throws BrokerError precondition-failed, as `putUser`
   */
  async credential(password: NewPassword): Promise<Credential> {
    if (password === null) return NO_PASSWORD
    if ('password' in password) {
      if (password.asItIs !== true) this.#checkPassword(Buffer.from(password.password).toString())
      // RabbitMQ: an empty password is no password.
      return password.password.length === 0 ? NO_PASSWORD : this.#hashing.run(() => hashPassword(password.password))
    }
    checkCredential(password)
    return { hashing: password.hashing, passwordHash: password.passwordHash }
  }

  #keepUser(name: string, credential: Credential, tags: readonly string[]): void {
    const definition: UserDefinition = { kind: 'user', name, ...credential, tags: [...tags] }
    const before = this.#users.get(name)
    this.#users.set(name, definition)
    this.#store.save(definition)
    this.#version++
    if (before === undefined) this.#told('user.created', { name })
    else if (before.passwordHash !== definition.passwordHash) this.#told('user.password.changed', { name })
    this.#told('user.tags.set', { name, tags })
  }

  /** Deletes a user with all their permissions. Returns whether there was one. */
  deleteUser(name: string): boolean {
    const definition = this.#users.get(name)
    if (!definition) return false
    for (const vhost of [...(this.#grants.get(name)?.keys() ?? [])]) this.deletePermission(name, vhost)
    for (const topic of [...this.topicPermissions()]) {
      if (topic.user === name) this.deleteTopicPermission(name, topic.vhost)
    }
    this.#users.delete(name)
    this.#store.remove(definition)
    this.#userDeleted(name)
    this.#version++
    this.#told('user.deleted', { name })
    return true
  }

  /**
   * Gives the user rights in a vhost, in place of those they had there.
   *
   * @throws BrokerError not-found: no such user; precondition-failed: a pattern that cannot be used
   */
  putPermission(user: string, vhost: string, rights: Rights): void {
    if (!this.#users.has(user)) throw new BrokerError('not-found', `no user '${user}'`)
    const { configure, write, read } = rights
    const definition: PermissionDefinition = { kind: 'permission', user, vhost, configure, write, read }
    this.#permit(definition)
    this.#store.save(definition)
    this.#version++
  }

  /** Takes the user's rights in a vhost away. Returns whether there were any. */
  deletePermission(user: string, vhost: string): boolean {
    const grants = this.#grants.get(user)
    const grant = grants?.get(vhost)
    if (!grants || !grant) return false
    grants.delete(vhost)
    if (grants.size === 0) this.#grants.delete(user)
    this.#store.remove(grant.definition)
    this.#version++
    return true
  }

  *topicPermissions(): Generator<TopicPermissionDefinition> {
    for (const { definition } of this.#topicGrants.values()) yield definition
  }

  /**
   * Says with which routing keys the user may publish to a topic exchange, and bind to it.
   *
   * @throws BrokerError not-found: no such user; precondition-failed: a pattern that cannot be used
   */
  putTopicPermission(user: string, vhost: string, exchange: string, rights: Pick<Rights, 'write' | 'read'>): void {
    if (!this.#users.has(user)) throw new BrokerError('not-found', `no user '${user}'`)
    const { write, read } = rights
    const definition: TopicPermissionDefinition = { kind: 'topic-permission', user, vhost, exchange, write, read }
    this.#permitTopic(definition)
    this.#store.save(definition)
    this.#version++
  }

  /** Takes a topic permission away; without an exchange, all that the user has in the vhost. Returns whether there was one. */
  deleteTopicPermission(user: string, vhost: string, exchange?: string): boolean {
    const found = [...this.topicPermissions()].filter(
      (one) => one.user === user && one.vhost === vhost && (exchange === undefined || one.exchange === exchange),
    )
    for (const definition of found) {
      this.#topicGrants.delete(topicKey(user, vhost, definition.exchange))
      this.#store.remove(definition)
    }
    if (found.length > 0) this.#version++
    return found.length > 0
  }

  /** A vhost was deleted: nobody has rights there any more. */
  vhostDeleted(vhost: string): void {
    for (const user of [...this.#grants.keys()]) this.deletePermission(user, vhost)
    for (const user of this.#users.keys()) this.deleteTopicPermission(user, vhost)
  }

  /** Why this login is refused; null when it is not. */
  async #refusal(
    name: string,
    password: Password,
    peerIsLoopback: boolean,
    source: LoginSource | null,
  ): Promise<string | null> {
    if (password.length === 0) return 'the password is empty'
    if (!peerIsLoopback && this.#loopbackUsers.has(name)) return 'the user may log in from this machine only'
    const account = this.#users.get(name)
    const digest = this.#recent.digest(name, password)
    if (account && this.#recent.has(digest, account)) return null
    const credential = account && account.passwordHash !== '' ? account : null
    const correct = await this.#verify(digest, credential, password, source)
    // Whoever was changed while the hash was computed is asked about again: the answer was about somebody else.
    if (this.#users.get(name) !== account) return this.#refusal(name, password, peerIsLoopback, source)
    if (!account) return 'there is no such user'
    if (!credential) return 'the user has no password'
    if (!correct) return source?.gone?.() === true ? 'the client has gone' : 'the password is wrong'
    this.#recent.remember(digest, account)
    return null
  }

  /** Verifies against a credential, unless all who wait for it have gone before it is their turn. */
  async #verify(
    digest: string,
    credential: UserDefinition | null,
    password: Password,
    source: LoginSource | null,
  ): Promise<boolean> {
    const key = `${credential?.hashing ?? ''} ${credential?.passwordHash ?? ''} ${digest}`
    const underWay = this.#verifying.get(key)
    if (underWay !== undefined) {
      underWay.sources.push(source)
      return underWay.correct
    }
    const sources = [source]
    const verifying = async (): Promise<boolean> =>
      sources.some((one) => one?.gone?.() !== true) && matches(credential, password)
    const correct = this.#hashing.run(verifying, source?.address).finally(() => this.#verifying.delete(key))
    this.#verifying.set(key, { correct, sources })
    return correct
  }

  /** RabbitMQ's words. */
  #checkPassword(password: string): void {
    if (password.length < this.#passwordLengthMin) {
      throw new BrokerError('precondition-failed', `minimum required password length: ${this.#passwordLengthMin}`)
    }
    if (this.#passwordPattern?.test(password) === false) {
      throw new BrokerError('precondition-failed', 'provided password does not match the validator regular expression')
    }
  }

  #grant(user: string, vhost: string): Grant | undefined {
    return this.#grants.get(user)?.get(vhost)
  }

  #permitTopic(definition: TopicPermissionDefinition): void {
    const write = compile('write', expanded(definition.write, definition))
    const read = compile('read', expanded(definition.read, definition))
    const { user, vhost, exchange } = definition
    this.#topicGrants.set(topicKey(user, vhost, exchange), { definition, write, read })
  }

  #permit(definition: PermissionDefinition): void {
    const grant: Grant = {
      definition,
      configure: compile('configure', definition.configure),
      write: compile('write', definition.write),
      read: compile('read', definition.read),
    }
    const grants = this.#grants.get(definition.user)
    if (grants) grants.set(definition.vhost, grant)
    else this.#grants.set(definition.user, new Map([[definition.vhost, grant]]))
  }
}

/** Whether the password is that of the credential. It takes as long to find out that it is not, or that there is none. */
async function matches(credential: Credential | null, password: Password): Promise<boolean> {
  if (credential !== null && (await verifyPassword(credential, password))) return true
  if (credential?.hashing !== DECOY.hashing) await verifyPassword(DECOY, password)
  return false
}

function topicKey(user: string, vhost: string, exchange: string): string {
  return JSON.stringify([user, vhost, exchange])
}

/** What stands for `{username}` and `{vhost}` is taken letter by letter, whatever is in it. */
function expanded(source: string, { user, vhost }: TopicPermissionDefinition): string {
  const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`)
  return source.replaceAll('{username}', () => literal(user)).replaceAll('{vhost}', () => literal(vhost))
}

/** RabbitMQ: permissions know the default exchange, whose name is empty, as amq.default. */
function resourceName(kind: ResourceKind, name: string): string {
  return kind === 'exchange' && name === '' ? 'amq.default' : name
}

function compile(right: Right, source: string): Pattern {
  try {
    // RabbitMQ: the empty pattern matches the empty name only.
    return new Pattern(source === '' ? '^$' : source)
  } catch (error) {
    if (!(error instanceof PatternError)) throw error
    throw new BrokerError('precondition-failed', `the ${right} pattern '${source}' cannot be used: ${error.message}`, {
      cause: error,
    })
  }
}
