// What vhosts to come are made with: users, operator policies and limits, by the name of the vhost.
import { Pattern } from '../lib/pattern.ts'
import type { Rights } from './access.ts'
import type { PolicyDefinition, VHostLimitsDefinition } from './definitions.ts'
import { checkPolicyValues } from './policy-values.ts'

/** Somebody who has these rights in each vhost that matches, and is made with the first if there is no such user yet. */
export interface DefaultUser {
  readonly name: string
  /** A regular expression over the names of vhosts, unanchored, as in the two below. */
  readonly vhostPattern: string
  /** null: the user cannot log in by password. */
  readonly password: string | null
  readonly tags: readonly string[]
  readonly rights: Rights
}

/** An operator policy of each vhost that matches. */
export interface DefaultOperatorPolicy extends Pick<PolicyDefinition, 'name' | 'pattern' | 'applyTo' | 'definition'> {
  readonly vhostPattern: string
}

/** The limits of vhosts that match, unless those of another name that comes before match too. */
export interface DefaultLimits {
  readonly name: string
  readonly vhostPattern: string
  readonly limits: Pick<VHostLimitsDefinition, 'maxConnections' | 'maxQueues'>
}

/** All of them. */
export interface VHostDefaultsOptions {
  readonly users?: readonly DefaultUser[]
  readonly operatorPolicies?: readonly DefaultOperatorPolicy[]
  readonly limits?: readonly DefaultLimits[]
}

/** Knows what a vhost is made with. */
export class VHostDefaults {
  readonly #users: (vhost: string) => DefaultUser[]
  readonly #operatorPolicies: (vhost: string) => DefaultOperatorPolicy[]
  readonly #limits: (vhost: string) => DefaultLimits[]

  /** @throws PatternError, BrokerError precondition-failed: a pattern or the value of a policy that cannot be */
  constructor({ users = [], operatorPolicies = [], limits = [] }: VHostDefaultsOptions) {
    for (const { definition } of operatorPolicies) checkPolicyValues(definition, true)
    this.#users = matching(users)
    this.#operatorPolicies = matching(operatorPolicies)
    // RabbitMQ goes through them by their names, as bytes are ordered.
    this.#limits = matching(limits.toSorted((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name))))
  }

  users(vhost: string): readonly DefaultUser[] {
    return this.#users(vhost)
  }

  operatorPolicies(vhost: string): readonly PolicyDefinition[] {
    return this.#operatorPolicies(vhost).map(({ name, pattern, applyTo, definition }) => {
      return { kind: 'policy', vhost, name, operator: true, pattern, applyTo, priority: 0, definition }
    })
  }

  limits(vhost: string): DefaultLimits['limits'] {
    return this.#limits(vhost)[0]?.limits ?? {}
  }
}

/** Finds those that are for a vhost. */
function matching<T extends { readonly vhostPattern: string }>(all: readonly T[]): (vhost: string) => T[] {
  const compiled = all.map((one) => ({ one, pattern: new Pattern(one.vhostPattern) }))
  return (vhost) => compiled.filter(({ pattern }) => pattern.test(vhost)).map(({ one }) => one)
}
