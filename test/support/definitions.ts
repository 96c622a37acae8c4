// Definitions files, made comparable between RabbitMQ's and ours: what may differ is written here, and nowhere else.
import { items, word, type Body } from './api.ts'

/**
 * The differences that are allowed (docs/compatibility.md has them in words): versions and explanations at the head; more
 * words about vhosts; the type of a queue beside its arguments, and among them also where it is classic; `internal` of exchanges; the cluster's own id; streams; limits of a
 * vhost that are none.
 */
export function compared(file: Body): unknown {
  const stream = (name: unknown): boolean => name === 'stream'
  return {
    users: rows(file['users']),
    vhosts: items(file['vhosts'])
      .map((vhost) => word(vhost['name']))
      .toSorted(),
    permissions: rows(file['permissions']),
    topic_permissions: rows(file['topic_permissions']),
    parameters: rows(items(file['parameters']).filter((one) => !unlimited(one['value']))),
    global_parameters: rows(file['global_parameters']).filter((one) => !one.includes('internal_cluster_id')),
    policies: rows(file['policies']),
    queues: rows(
      items(file['queues'])
        .filter((queue) => !stream(queue['name']))
        .map((queue) => untyped(without(queue, 'type'))),
    ),
    exchanges: rows(items(file['exchanges']).map((exchange) => without(exchange, 'internal'))),
    bindings: rows(items(file['bindings']).filter((binding) => !stream(binding['destination']))),
  }
}

/** RabbitMQ 3.10: what is classic was mostly declared without a type. */
function untyped(queue: Body): Body {
  const args = queue['arguments']
  if (
    typeof args !== 'object' ||
    args === null ||
    (args as { readonly [key: string]: unknown })['x-queue-type'] !== 'classic'
  )
    return queue
  return { ...queue, arguments: without(args, 'x-queue-type') }
}

function unlimited(value: Body | undefined): boolean {
  return Array.isArray(value) && value.length === 0
}

/** Rows as texts, in an order that does not depend on theirs. */
function rows(list: Body | readonly Body[] | undefined): readonly string[] {
  return items(list as Body)
    .map((row) => JSON.stringify(sorted(row)))
    .toSorted()
}

function without(row: Body, key: string): Body {
  return Object.fromEntries(Object.entries(row).filter(([name]) => name !== key))
}

/** The same with its keys in order. RabbitMQ writes an empty object as an empty list now and then. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? {} : value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]))
}
