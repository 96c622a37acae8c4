// The name of a binding within a path: its routing key, and what tells its arguments apart.
import { createHash } from 'node:crypto'
import type { FieldTable } from '../core/value.ts'
import { tableIdentity } from '../core/arguments/table-identity.ts'

const NOTHING = '~'
/** Octets of a name that is not UTF-8, as the core keeps them. */
const LONE_SURROGATES = /[\uD800-\uDFFF]/gu
const HASH_BYTES = 4

/** RabbitMQ's properties_key: the quoted routing key, then `~` and a hash of the arguments if there are any. */
export function propertiesKey(routingKey: string, args: FieldTable): string {
  if (args.size === 0) return routingKey === '' ? NOTHING : quoted(routingKey)
  const hash = createHash('sha256').update(tableIdentity(args)).digest().subarray(0, HASH_BYTES)
  return `${quoted(routingKey)}~${hash.toString('base64url')}`
}

/** Letters, digits, `.`, `-` and `_` stay, a space becomes `+`; the rest, `~` too, is percent-encoded. */
function quoted(text: string): string {
  return encodeURIComponent(text.replace(LONE_SURROGATES, '\uFFFD'))
    .replace(/[!'()*~]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+')
}
