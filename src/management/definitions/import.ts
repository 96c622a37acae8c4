// A definitions file of RabbitMQ 3.x or 4.x (or ours), brought in; what cannot be honoured is noted by name.
import { assertQueueEquivalent, validateExchangeArguments, validateQueueArguments } from '../../core/arguments.ts'
import { Hashing } from '../../core/access/password.ts'
import type { Broker } from '../../core/broker.ts'
import { INTERNAL_USER } from '../../core/events.ts'
import { BrokerError } from '../../core/errors.ts'
import { exchangeTypes } from '../../core/exchange/exchange-types.ts'
import type { VHost } from '../../core/vhost.ts'
import type { Slices } from '../../lib/slices.ts'
import { booleanField, isObject, objectField, objectsField, stringField } from '../body.ts'
import { badRequest, fromBrokerError, type Json, type JsonObject } from '../http-error.ts'
import { jsonTable } from '../json-table.ts'
import { durably } from '../route.ts'
import { putOwnedParameter } from '../routes/parameters.ts'
import { policyOf, putPolicy } from '../routes/policies.ts'
import { userLimitsOf, vhostLimitsOf } from '../routes/limits.ts'
import { passwordOf, tagsOf } from '../routes/users.ts'
import { metadata } from '../routes/vhosts.ts'
import { INERT, INERT_COMPONENTS } from '../inert-components.ts'
import { INTERNAL_PREFIX, RESERVED_PREFIX } from './file.ts'

/** Something in a file that does not hold here, and why. */
export interface Note {
  readonly section: string
  readonly vhost?: string
  readonly name: string
  readonly reason: string
}

/** Of clusters that mirror queues, which is RabbitMQ 3's; and of federation. */
const INERT_POLICY_KEYS = /^(ha-|federation-)/

/**
 * Imports a file: all of it, or into one vhost what is for one. Comes back when it is on disk and its policies hold, with what could not be
 * honoured, which the log has too. `by` is who is said to have made what was not there.
 * @throws HttpError 400 for whatever is wrong with the file; what came before that stays
 */
export async function importDefinitions(
  broker: Broker,
  file: JsonObject,
  only: VHost | null,
  slices: Slices,
  by = INTERNAL_USER,
): Promise<readonly Note[]> {
  if (only === null) assertForAll(file)
  const bringing = new Import(broker, only, slices, by)
  try {
    await durably(broker, () => bringing.run(file))
    for (const { governed } of broker.vhosts.values()) await governed
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    // RabbitMQ: whatever is wrong with a file is a bad request.
    throw error.code === 'internal-error' ? fromBrokerError(error) : badRequest(error.message)
  } finally {
    for (const note of bringing.notes) broker.logger.warn({ ...note }, 'a definition was not honoured')
  }
  return bringing.notes
}

function assertForAll(file: JsonObject): void {
  for (const key of ['queues', 'exchanges', 'bindings']) {
    if (objectsField(file, key).some((one) => typeof one['vhost'] !== 'string')) {
      throw badRequest(`a definition in ${key} names no vhost: this is a file for one vhost, not for all`)
    }
  }
}

/**
 * Imports files. What can be changed is overwritten; queues, exchanges and bindings that exist stay as they are; nothing
 * is deleted.
 */
class Import {
  readonly notes: Note[] = []
  readonly #broker: Broker
  /** The vhost that all goes into; null for a file that names them. */
  readonly #only: VHost | null
  readonly #slices: Slices
  /** Who imports. */
  readonly #by: string

  constructor(broker: Broker, only: VHost | null, slices: Slices, by: string) {
    this.#broker = broker
    this.#only = only
    this.#slices = slices
    this.#by = by
  }

  /**
   * Brings all in, in the order in which one thing needs the other.
   * @throws HttpError 400 for what cannot be understood; BrokerError for what cannot be
   */
  async run(file: JsonObject): Promise<void> {
    if (this.#only === null) {
      await this.#each(file, 'users', (one) => this.#user(one))
      await this.#each(file, 'vhosts', (one) => this.#vhost(one))
      await this.#each(file, 'permissions', (one) => this.#permission(one))
    } else {
      const limits = objectField(file, 'limits')
      if (Object.keys(limits).length > 0) this.#broker.quotas.limitVHost(this.#only.name, vhostLimitsOf(limits))
    }
    await this.#each(file, 'exchanges', (one) => this.#exchange(one))
    if (this.#only === null) {
      await this.#each(file, 'topic_permissions', (one) => this.#topicPermission(one))
      await this.#each(file, 'global_parameters', (one) => this.#globalParameter(one))
    }
    await this.#each(file, 'policies', (one) => this.#policy(one))
    await this.#each(file, 'parameters', (one) => this.#parameter(one))
    await this.#each(file, 'queues', (one) => this.#queue(one))
    await this.#each(file, 'bindings', (one) => this.#binding(one))
  }

  async #each(file: JsonObject, section: string, bring: (one: JsonObject) => void | Promise<void>): Promise<void> {
    for (const one of objectsField(file, section)) {
      await bring(one)
      if (this.#slices.over) await this.#slices.next()
    }
  }

  #home(one: JsonObject): VHost {
    if (this.#only !== null) return this.#only
    const name = stringField(one, 'vhost')
    const vhost = this.#broker.vhosts.get(name)
    if (vhost === undefined) throw badRequest(`no vhost '${name}'`)
    return vhost
  }

  async #user(user: JsonObject): Promise<void> {
    const name = stringField(user, 'name')
    const hashing = stringField(user, 'hashing_algorithm', Hashing.sha256)
    if (!Object.values<string>(Hashing).includes(hashing)) {
      // Without the password, so that what else the file says of the user holds.
      await this.#broker.access.putUser(name, null, tagsOf(user))
      this.notes.push({ section: 'users', name, reason: `the password, being hashed by ${hashing}, is not known here` })
      return
    }
    await this.#broker.access.putUser(name, passwordOf({ ...user, hashing_algorithm: hashing }), tagsOf(user))
    const limits = objectField(user, 'limits')
    if (Object.keys(limits).length > 0) this.#broker.quotas.limitUser(name, userLimitsOf(limits))
  }

  async #vhost(vhost: JsonObject): Promise<void> {
    const name = stringField(vhost, 'name')
    const inner: Json | undefined = vhost['metadata']
    const changes = { ...this.#metadata(name, vhost), ...(isObject(inner) ? this.#metadata(name, inner) : {}) }
    const home = this.#broker.vhosts.get(name) ?? (await this.#broker.createVHost(name, ''))
    this.#broker.updateVHost(home, changes)
    const limits = objectField(vhost, 'limits')
    if (Object.keys(limits).length > 0) this.#broker.quotas.limitVHost(name, vhostLimitsOf(limits))
  }

  #metadata(name: string, fields: JsonObject): ReturnType<typeof metadata> {
    const changes = metadata(fields)
    if (changes.defaultQueueType !== 'stream') return changes
    this.notes.push({
      section: 'vhosts',
      name,
      reason: 'its queues are streams by default, and there are none here yet',
    })
    const { defaultQueueType: _stream, ...rest } = changes
    return rest
  }

  #permission(permission: JsonObject): void {
    const rights = {
      configure: stringField(permission, 'configure'),
      write: stringField(permission, 'write'),
      read: stringField(permission, 'read'),
    }
    this.#broker.access.putPermission(stringField(permission, 'user'), this.#home(permission).name, rights)
  }

  #topicPermission(permission: JsonObject): void {
    const rights = { write: stringField(permission, 'write'), read: stringField(permission, 'read') }
    const [user, exchange] = [stringField(permission, 'user'), stringField(permission, 'exchange')]
    this.#broker.access.putTopicPermission(user, this.#home(permission).name, exchange, rights)
  }

  #globalParameter(parameter: JsonObject): void {
    const name = stringField(parameter, 'name')
    if (name.startsWith(INTERNAL_PREFIX)) return
    this.#broker.parameters.putGlobal(name, parameter['value'] ?? null)
  }

  #policy(policy: JsonObject): void {
    const { name: vhost } = this.#home(policy)
    const name = stringField(policy, 'name')
    const definition = policyOf(policy, { vhost, name, operator: false })
    putPolicy(this.#broker, definition)
    const inert = Object.keys(definition.definition).filter((key) => INERT_POLICY_KEYS.test(key))
    if (inert.length === 0) return
    const reason = `${inert.join(', ')} kept, but nothing is done with it: there are no mirrors, and no federation`
    this.notes.push({ section: 'policies', vhost, name, reason })
  }

  #parameter(parameter: JsonObject): void {
    const { name: vhost } = this.#home(parameter)
    const [component, name] = [stringField(parameter, 'component'), stringField(parameter, 'name')]
    if (component === 'vhost-limits' || component === 'operator_policy') {
      putOwnedParameter(this.#broker, vhost, component, name, objectField(parameter, 'value'))
      return
    }
    if (INERT_COMPONENTS.has(component)) {
      this.#broker.parameters.put(vhost, component, name, parameter['value'] ?? null)
      this.notes.push({ section: 'parameters', vhost, name, reason: `the ${component} ${INERT}` })
      return
    }
    this.notes.push({ section: 'parameters', vhost, name, reason: `there is no component ${component} here` })
  }

  #exchange(exchange: JsonObject): void {
    const vhost = this.#home(exchange)
    const name = stringField(exchange, 'name')
    if (vhost.exchanges.has(name) || name.startsWith(RESERVED_PREFIX)) return
    const properties = {
      type: stringField(exchange, 'type', 'direct'),
      durable: booleanField(exchange, 'durable', true),
      autoDelete: booleanField(exchange, 'auto_delete', false),
      internal: booleanField(exchange, 'internal', false),
      arguments: jsonTable(objectField(exchange, 'arguments')),
    }
    if (!exchangeTypes.has(properties.type)) {
      const reason = `there are no exchanges of type ${properties.type} here`
      this.notes.push({ section: 'exchanges', vhost: vhost.name, name, reason })
      return
    }
    validateExchangeArguments(name, vhost.name, properties)
    vhost.addExchange(name, properties, this.#by)
  }

  #queue(queue: JsonObject): void {
    const vhost = this.#home(queue)
    const name = stringField(queue, 'name')
    const args = new Map(jsonTable(objectField(queue, 'arguments')))
    const type = queue['type']
    if (typeof type === 'string' && type !== 'classic' && !args.has('x-queue-type')) {
      args.set('x-queue-type', { type: 'longstr', value: type })
    }
    const properties = {
      name,
      durable: booleanField(queue, 'durable', true),
      autoDelete: booleanField(queue, 'auto_delete', false),
      arguments: args,
    }
    const existing = vhost.queues.get(name)
    if (existing !== undefined) {
      this.#noteDifference(() => assertQueueEquivalent(existing, properties, vhost.name), vhost, name)
      return
    }
    const given = args.get('x-queue-type')
    if (given?.type === 'longstr' && given.value === 'stream') {
      this.notes.push({ section: 'queues', vhost: vhost.name, name, reason: 'there are no streams here yet' })
      return
    }
    validateQueueArguments(name, vhost.name, args)
    vhost.addQueue({ ...properties, owner: null, user: null }, this.#by)
  }

  #noteDifference(check: () => void, vhost: VHost, name: string): void {
    try {
      check()
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      this.notes.push({ section: 'queues', vhost: vhost.name, name, reason: `it stays as it was: ${error.message}` })
    }
  }

  #binding(binding: JsonObject): void {
    const vhost = this.#home(binding)
    const kind = stringField(binding, 'destination_type', 'queue')
    if (kind !== 'queue' && kind !== 'exchange') throw badRequest(['destination_type', kind])
    const [source, destination] = [stringField(binding, 'source'), stringField(binding, 'destination')]
    if (source === '') return
    const noted = (section: string, name: string): boolean =>
      this.notes.some((note) => note.section === section && note.vhost === vhost.name && note.name === name)
    const gone = (section: 'queues' | 'exchanges', name: string): boolean =>
      !vhost[section].has(name) && noted(section, name)
    if (gone('exchanges', source) || gone(kind === 'queue' ? 'queues' : 'exchanges', destination)) {
      const name = `${source} to ${destination}`
      this.notes.push({ section: 'bindings', vhost: vhost.name, name, reason: 'one of its ends was not imported' })
      return
    }
    const end = kind === 'queue' ? vhost.queue(destination) : vhost.exchange(destination)
    const args = jsonTable(objectField(binding, 'arguments'))
    vhost.bind(vhost.exchange(source), end, stringField(binding, 'routing_key', ''), args, this.#by)
  }
}
