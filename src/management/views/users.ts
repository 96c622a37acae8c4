// Users and their permissions as RabbitMQ shows them.
import type { PermissionDefinition, TopicPermissionDefinition, UserDefinition } from '../../core/definitions.ts'
import type { Broker } from '../../core/broker.ts'
import type { JsonObject } from '../http-error.ts'
import { userLimitsJson } from './policies.ts'

/** RabbitMQ's JSON of a user. */
export function userJson({ quotas }: Pick<Broker, 'quotas'>, user: UserDefinition): JsonObject {
  return {
    name: user.name,
    password_hash: user.passwordHash,
    hashing_algorithm: user.hashing,
    tags: user.tags,
    limits: userLimitsJson(quotas.limitsOfUser(user.name) ?? {}),
  }
}

/** The same of a permission. */
export function permissionJson({ user, vhost, configure, write, read }: PermissionDefinition): JsonObject {
  return { user, vhost, configure, write, read }
}

/** The same of a topic permission. */
export function topicPermissionJson(permission: TopicPermissionDefinition): JsonObject {
  const { user, vhost, exchange, write, read } = permission
  return { user, vhost, exchange, write, read }
}
