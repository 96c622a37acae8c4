// Users and their permissions as RabbitMQ shows them.
import type { PermissionDefinition, UserDefinition } from '../../core/definitions.ts'
import type { JsonObject } from '../http-error.ts'

export function userJson(user: UserDefinition): JsonObject {
  return {
    name: user.name,
    password_hash: user.passwordHash,
    hashing_algorithm: user.hashing,
    tags: user.tags,
    limits: {},
  }
}

export function permissionJson({ user, vhost, configure, write, read }: PermissionDefinition): JsonObject {
  return { user, vhost, configure, write, read }
}
