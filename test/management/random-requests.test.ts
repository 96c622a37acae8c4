// Requests made at random from all that the API takes and much that it does not: whatever comes, no route fails. A failure
// says its seed, which TEST_SEED runs again; TEST_REQUESTS says how many requests there are.
import { expect, it } from 'vitest'
import { Slices } from '../../src/lib/slices.ts'
import { loadRoutes } from '../../src/management/routes/routes.ts'
import { useApi } from '../support/api.ts'
import { Random } from '../support/random.ts'

const SEED = Number(process.env['TEST_SEED'] ?? 20_261_128)
const REQUESTS = Number(process.env['TEST_REQUESTS'] ?? 3000)

const api = useApi()
const routes = await loadRoutes(new Slices())
const paths = [...new Set(routes.map(({ path }) => path))]

const METHODS = ['GET', 'GET', 'PUT', 'PUT', 'POST', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'] as const
/** What the parts of a path are, most often: so that requests get further than to a name that is unknown. */
const KNOWN: Readonly<Record<string, readonly string[]>> = {
  vhost: ['%2F', 'v'],
  queue: ['q', 'other'],
  exchange: ['amq.default', 'amq.topic', 'x'],
  source: ['amq.topic', 'x'],
  destination: ['q', 'x'],
  user: ['guest', 'u'],
  name: ['p', 'max-queues', 'max-connections', 'q'],
  component: ['shovel', 'operator_policy', 'vhost-limits', 'federation-upstream'],
  action: ['q'],
}
const NAMES = [
  ...[
    '%2F',
    '%252F',
    '..',
    '%2E%2E',
    '.',
    '%00',
    '%0A',
    '%F0%9F%90%87',
    'a%20b',
    '%E2%98',
    '%',
    '%zz',
    '~',
    '%7E',
    '+',
  ],
  ...['__proto__', 'constructor', 'toString', 'x'.repeat(255), 'x'.repeat(1300), '%5B', '*', '-1', '1e9', 'NaN', '%25'],
  ...['%22%3E%3Cscript%3E', '%ED%A0%80', ';', '&a=b', '=', '(a%2B)%2B%24', '%D8%A7', '%C2%A0'],
]
const QUERIES = [
  ...['', '', '', 'page=1', 'page=0', 'page=x&page_size=1', 'page=1&page_size=501', 'page=1&name=(&use_regex=true'],
  ...['columns=a.b,,.', 'columns=__proto__.x', 'sort=__proto__.a', 'sort=name&sort_reverse=true', 'sort=arguments.a.b'],
  ...['lengths_age=60&lengths_incr=5', 'lengths_age=1e9&lengths_incr=0', 'msg_rates_age=60&msg_rates_incr=-1'],
  ...['disable_stats=true&enable_queue_totals=true', 'if-empty=true&if-unused=true', 'state=none', 'count=-1&cursor=x'],
  ...[
    'page=1&page=2&name[]=x',
    'family=queue_metrics&queue=[',
    'download=%0D%0Aa',
    'memory=true&binary=true',
    '%',
    '=&&=',
  ],
]
const KEYS = [
  ...['name', 'value', 'pattern', 'definition', 'priority', 'apply-to', 'configure', 'write', 'read', 'exchange'],
  ...['password', 'password_hash', 'tags', 'users', 'queues', 'bindings', 'policies', 'parameters', 'vhosts', 'vhost'],
  ...[
    'arguments',
    'durable',
    'auto_delete',
    'type',
    'routing_key',
    'properties',
    'payload',
    'payload_encoding',
    'count',
  ],
  ...[
    'ackmode',
    'encoding',
    'truncate',
    'limits',
    'permissions',
    'description',
    'action',
    'exchanges',
    'node',
    'format',
  ],
  ...['positions', 'header', 'text', 'all', 'level', 'memory_relative', 'destination', 'source', 'destination_type'],
  ...['topic_permissions', 'global_parameters', 'component', 'user', 'hashing_algorithm', 'tracing', 'headers'],
]
const VALUES: readonly unknown[] = [
  ...[null, true, false, 'true', 0, 1, -1, 1.5, 1e300, 2 ** 53, -(2 ** 63), '', 'x', '.*', '[', '(', '\u0000', '🐇'],
  ...[
    '\ud800',
    'q',
    'guest',
    '/',
    'amq.topic',
    'direct',
    'quorum',
    'auto',
    'base64',
    'string',
    'ack_requeue_true',
    '%',
  ],
  ...['max-length', 'x-max-length', 'x-queue-type', 'x'.repeat(300), '2147483648', '__proto__', 'all', 'queues'],
]

function pathOf(random: Random): string {
  const path = random
    .pick(paths)
    .replaceAll(/:(\w+)/g, (_all, part: string) => random.pick(random.chance(0.6) ? (KNOWN[part] ?? NAMES) : NAMES))
  const query = random.pick(QUERIES)
  return `${path}${random.chance(0.1) ? '/' : ''}${query === '' ? '' : `?${query}`}`
}

function valueOf(random: Random, depth: number): unknown {
  const kind = random.below(depth > 3 ? 6 : 10)
  if (kind < 6) return random.pick(VALUES)
  if (kind < 8) return Array.from({ length: random.below(4) }, () => valueOf(random, depth + 1))
  return objectOf(random, depth + 1)
}

function objectOf(random: Random, depth: number): Record<string, unknown> {
  const keys = Array.from({ length: random.below(depth === 0 ? 8 : 4) }, () => {
    return random.chance(0.9) ? random.pick(KEYS) : String(random.pick(VALUES))
  })
  return Object.fromEntries(keys.map((key) => [key, valueOf(random, depth)]))
}

function bodyOf(random: Random): string {
  const text = JSON.stringify(random.chance(0.9) ? objectOf(random, 0) : valueOf(random, 0))
  if (random.chance(0.9)) return text
  const at = random.below(text.length + 1)
  return random.chance(0.5)
    ? text.slice(0, at)
    : `${text.slice(0, at)}${random.pick(['{', '"', '\u0000', ','])}${text.slice(at)}`
}

/** Those that end what the rest needs: nobody could log in any more, or the broker would block or write no more. */
const ENDING =
  /^(PUT|DELETE) \/api\/(users|permissions)\/|^PUT \/api\/nodes|bulk-delete|^POST \/api\/(definitions|all-configuration)/

it('are answered, and never with a mistake of ours', async () => {
  const random = new Random(SEED)
  await api.put('/api/vhosts/v')
  for (const vhost of ['%2F', 'v']) {
    await api.put(`/api/queues/${vhost}/q`, { durable: true })
    await api.put(`/api/exchanges/${vhost}/x`, { durable: true })
  }
  for (let i = 0; i < REQUESTS; i++) {
    const method = random.pick(METHODS)
    const path = pathOf(random)
    const raw = method === 'GET' || method === 'HEAD' ? undefined : bodyOf(random)
    if (ENDING.test(`${method} ${path}`)) continue
    const type = random.pick([
      'application/json',
      'application/json',
      'text/plain',
      'multipart/form-data; boundary=x',
      '',
    ])
    const headers = {
      ...(type === '' ? {} : { 'content-type': type }),
      ...(random.chance(0.1) ? { 'x-vhost': 'v' } : {}),
    }
    const { status } = await api.call(method, path, { ...(raw === undefined ? {} : { raw }), headers })
    expect([SEED, i, method, path, raw, status < 500 || status === 503]).toEqual([SEED, i, method, path, raw, true])
  }
})

it('that bring definitions are answered likewise', async () => {
  const random = new Random(SEED + 1)
  for (let i = 0; i < REQUESTS / 10; i++) {
    // Users and rights stay as they are, so that what comes next may ask.
    const { users: _users, permissions: _permissions, ...file } = objectOf(random, 0)
    const raw = JSON.stringify(file)
    const { status } = await api.call('POST', `/api/definitions${random.pick(['', '/%2F', '/none'])}`, { raw })
    expect([SEED, i, raw, status < 500]).toEqual([SEED, i, raw, true])
  }
})
