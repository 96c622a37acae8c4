// What the settings say of vhosts to come, together.
import type { Values } from './schema.ts'

/** What vhosts to come are made with. */
export interface VHostDefaultsSettings {
  readonly users: readonly {
    readonly name: string
    readonly vhostPattern: string
    readonly password: string | null
    readonly tags: readonly string[]
    readonly rights: { readonly configure: string; readonly write: string; readonly read: string }
  }[]
  readonly operatorPolicies: readonly {
    readonly name: string
    readonly vhostPattern: string
    readonly pattern: string
    readonly applyTo: Values['default-operator-policies'][string]['apply-to']
    readonly definition: Readonly<Record<string, number>>
  }[]
  readonly limits: readonly {
    readonly name: string
    readonly vhostPattern: string
    readonly limits: { readonly maxConnections?: number; readonly maxQueues?: number }
  }[]
}

/** Users, operator policies and limits by the settings. */
export function vhostDefaults(values: Values): VHostDefaultsSettings {
  return {
    users: Object.entries(values['default-users']).map(([name, user]) => {
      const { 'vhost-pattern': vhostPattern, password, tags, ...rights } = user
      return { name, vhostPattern, password, tags, rights }
    }),
    operatorPolicies: Object.entries(values['default-operator-policies'])
      .map(([name, policy]) => {
        const { 'vhost-pattern': vhostPattern, 'queue-pattern': pattern, 'apply-to': applyTo, ...numbers } = policy
        const given = Object.entries(numbers).filter((pair): pair is [string, number] => pair[1] !== null)
        return { name, vhostPattern, pattern, applyTo, definition: Object.fromEntries(given) }
      })
      .filter(({ definition }) => Object.keys(definition).length > 0),
    limits: Object.entries(values['default-vhost-limits']).map(([name, limits]) => {
      const { pattern, 'max-connections': connections, 'max-queues': queues } = limits
      return {
        name,
        vhostPattern: pattern,
        limits: {
          ...(connections === null ? {} : { maxConnections: connections }),
          ...(queues === null ? {} : { maxQueues: queues }),
        },
      }
    }),
  }
}
