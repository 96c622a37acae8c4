// What is declared and survives a restart, as plain records.
import type { PolicyValues } from './policy-values.ts'
import type { FieldTable } from './value.ts'

/** A virtual host: names of its own, and permissions of its own. */
export interface VHostDefinition {
  readonly kind: 'vhost'
  readonly name: string
  readonly description: string
  readonly tags: readonly string[]
  /** The type of queues that are declared without one; absent: classic. */
  readonly defaultQueueType?: string
  /** Refuses to be deleted until this is lifted. */
  readonly protected?: boolean
  readonly tracing?: boolean
}

/** Somebody who may log in. */
export interface UserDefinition {
  readonly kind: 'user'
  readonly name: string
  /** Base64, in the format that `hashing` names. Empty: the user cannot log in with a password. */
  readonly passwordHash: string
  /** `rabbit_password_hashing_sha256`, `rabbit_password_hashing_sha512`, `rabbit_password_hashing_md5` or `leveret_password_hashing_scrypt`. */
  readonly hashing: string
  readonly tags: readonly string[]
}

/** What a user may do in a vhost. */
export interface PermissionDefinition {
  readonly kind: 'permission'
  readonly user: string
  readonly vhost: string
  /** Regular expressions over resource names, unanchored; empty matches only the empty name. */
  readonly configure: string
  readonly write: string
  readonly read: string
}

/** A durable exchange. */
export interface ExchangeDefinition {
  readonly kind: 'exchange'
  readonly vhost: string
  readonly name: string
  readonly type: string
  readonly autoDelete: boolean
  readonly internal: boolean
  readonly arguments: FieldTable
  /** Who declared it; absent where that is not known. */
  readonly user?: string
  /** The id of its delay log in the store, if messages wait before it. */
  readonly delays?: number
  /** The id of the log of what it gives to new bindings, if it does. */
  readonly history?: number
  /** The id of the log of the message ids that it remembers, if it does. */
  readonly ids?: number
}

/** A durable queue. Its messages are in the logs that it names. */
export interface QueueDefinition {
  readonly kind: 'queue'
  readonly vhost: string
  readonly name: string
  readonly autoDelete: boolean
  readonly arguments: FieldTable
  /** Who declared it; absent where that is not known. */
  readonly user?: string
  /** The id of the queue's log in the store. */
  readonly log: number
  /** Whether deliveries are stopped. */
  readonly paused?: boolean
  /** The ids of the logs of its priorities, but for the lowest if that is the queue's own. */
  readonly levels?: readonly LevelDefinition[]
  /** The id of the log of the message ids that it remembers, if it does. */
  readonly ids?: number
}

/** The log, by its id, of one priority of a queue. */
export interface LevelDefinition {
  readonly priority: number
  readonly log: number
}

/** A binding whose two ends are durable. */
export interface BindingDefinition {
  readonly kind: 'binding'
  readonly vhost: string
  readonly source: string
  readonly destinationKind: 'queue' | 'exchange'
  readonly destination: string
  readonly routingKey: string
  readonly arguments: FieldTable
}

/** With which routing keys a user may publish to a topic exchange, and bind to it. */
export interface TopicPermissionDefinition {
  readonly kind: 'topic-permission'
  readonly user: string
  readonly vhost: string
  readonly exchange: string
  /** Regular expressions over routing keys, in which `{username}` and `{vhost}` stand for these. */
  readonly write: string
  readonly read: string
}

/** What holds for the queues and exchanges whose names match, beside their arguments. */
export interface PolicyDefinition {
  readonly kind: 'policy'
  readonly vhost: string
  readonly name: string
  /** Whether it is an operator's: those limit what users' policies and arguments ask for. */
  readonly operator: boolean
  /** A regular expression over names, unanchored. */
  readonly pattern: string
  readonly applyTo: 'all' | 'queues' | 'exchanges' | 'classic_queues' | 'quorum_queues' | 'streams'
  readonly priority: number
  readonly definition: PolicyValues
}

/** Limits; what is absent or negative sets none. */
export interface VHostLimitsDefinition {
  readonly kind: 'vhost-limits'
  readonly vhost: string
  readonly maxConnections?: number
  readonly maxQueues?: number
  /** Messages, and bytes of their bodies, that may be published in a second. */
  readonly maxPublishRate?: number
  readonly maxPublishByteRate?: number
}

/** The same for a user. */
export interface UserLimitsDefinition {
  readonly kind: 'user-limits'
  readonly user: string
  readonly maxConnections?: number
  readonly maxChannels?: number
  /** Messages, and bytes of their bodies, that may be published in a second. */
  readonly maxPublishRate?: number
  readonly maxPublishByteRate?: number
}

/** A value as JSON has it. */
export type ParameterValue =
  string | number | boolean | null | readonly ParameterValue[] | { readonly [key: string]: ParameterValue | undefined }

/** A value that a component of the broker (or of another) is to find in a vhost. */
export interface ParameterDefinition {
  readonly kind: 'parameter'
  readonly vhost: string
  readonly component: string
  readonly name: string
  readonly value: ParameterValue
}

/** The same for the whole broker. */
export interface GlobalParameterDefinition {
  readonly kind: 'global-parameter'
  readonly name: string
  readonly value: ParameterValue
}

/** Everything that the store keeps of what is declared. `kind` tells one from another. */
export type Definition =
  | VHostDefinition
  | UserDefinition
  | PermissionDefinition
  | TopicPermissionDefinition
  | PolicyDefinition
  | VHostLimitsDefinition
  | UserLimitsDefinition
  | ParameterDefinition
  | GlobalParameterDefinition
  | ExchangeDefinition
  | QueueDefinition
  | BindingDefinition

/** What identifies a definition among those of its kind; the same identity again replaces it. */
export function definitionIdentity(definition: Definition): readonly (string | FieldTable)[] {
  switch (definition.kind) {
    case 'vhost':
    case 'user':
    case 'global-parameter':
      return [definition.name]
    case 'permission':
      return [definition.vhost, definition.user]
    case 'topic-permission':
      return [definition.vhost, definition.user, definition.exchange]
    case 'policy':
      return [definition.vhost, definition.name, definition.operator ? 'operator' : 'user']
    case 'parameter':
      return [definition.vhost, definition.component, definition.name]
    case 'vhost-limits':
      return [definition.vhost]
    case 'user-limits':
      return [definition.user]
    case 'exchange':
    case 'queue':
      return [definition.vhost, definition.name]
    case 'binding':
      return [
        definition.vhost,
        definition.source,
        definition.destinationKind,
        definition.destination,
        definition.routingKey,
        definition.arguments,
      ]
  }
}
