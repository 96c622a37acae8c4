// Parameters: values that operators keep in the broker by name, in a vhost or for all of it.
import type { Definition, GlobalParameterDefinition, ParameterDefinition, ParameterValue } from './definitions.ts'

interface Keeper {
  save(definition: Definition): void
  remove(definition: Definition): void
}

/** The global parameter that holds the name by which the broker is known (RabbitMQ). */
const CLUSTER_NAME = 'cluster_name'

/** Owns the parameters of all vhosts and the global ones. What they mean is their readers' business. */
export class Parameters {
  readonly #keeper: Keeper
  /** By vhost, component and name. */
  readonly #inVHosts = new Map<string, ParameterDefinition>()
  readonly #global = new Map<string, GlobalParameterDefinition>()

  constructor(keeper: Keeper) {
    this.#keeper = keeper
  }

  /** Takes over what the store held. */
  load(definitions: Iterable<Definition>): void {
    for (const definition of definitions) {
      if (definition.kind === 'parameter') this.#inVHosts.set(keyOf(definition), definition)
      else if (definition.kind === 'global-parameter') this.#global.set(definition.name, definition)
    }
  }

  /** Those of every vhost. */
  get all(): Iterable<ParameterDefinition> {
    return this.#inVHosts.values()
  }

  /** Those of the whole broker. */
  get globals(): Iterable<GlobalParameterDefinition> {
    return this.#global.values()
  }

  /** The parameter of this name. */
  get(vhost: string, component: string, name: string): ParameterDefinition | undefined {
    return this.#inVHosts.get(keyOf({ vhost, component, name }))
  }

  /** The global parameter of this name. */
  global(name: string): GlobalParameterDefinition | undefined {
    return this.#global.get(name)
  }

  /** The name that an operator gave to the broker. */
  get clusterName(): string | undefined {
    const value = this.#global.get(CLUSTER_NAME)?.value
    return typeof value === 'string' ? value : undefined
  }

  /** Sets a parameter, and has it stored. */
  put(vhost: string, component: string, name: string, value: ParameterValue): void {
    const definition: ParameterDefinition = { kind: 'parameter', vhost, component, name, value }
    this.#inVHosts.set(keyOf(definition), definition)
    this.#keeper.save(definition)
  }

  /** The same for the whole broker. */
  putGlobal(name: string, value: ParameterValue): void {
    const definition: GlobalParameterDefinition = { kind: 'global-parameter', name, value }
    this.#global.set(name, definition)
    this.#keeper.save(definition)
  }

  /** Gives the broker another name. */
  renameCluster(name: string): void {
    this.putGlobal(CLUSTER_NAME, name)
  }

  /** Returns whether there was one. */
  delete(vhost: string, component: string, name: string): boolean {
    const key = keyOf({ vhost, component, name })
    const definition = this.#inVHosts.get(key)
    if (definition === undefined) return false
    this.#inVHosts.delete(key)
    this.#keeper.remove(definition)
    return true
  }

  /** Returns whether there was one. */
  deleteGlobal(name: string): boolean {
    const definition = this.#global.get(name)
    if (definition === undefined) return false
    this.#global.delete(name)
    this.#keeper.remove(definition)
    return true
  }

  /** A vhost was deleted, and its parameters with it. */
  vhostDeleted(vhost: string): void {
    for (const one of [...this.#inVHosts.values()]) {
      if (one.vhost === vhost) this.delete(vhost, one.component, one.name)
    }
  }
}

function keyOf({ vhost, component, name }: Pick<ParameterDefinition, 'vhost' | 'component' | 'name'>): string {
  return JSON.stringify([vhost, component, name])
}
