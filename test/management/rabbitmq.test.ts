// RabbitMQ's own programs against this API, unmodified: its command line tool, and definitions from a node of it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Api, useApi, type Body } from '../support/api.ts'
import { compared } from '../support/definitions.ts'
import { adminPath, RabbitMQ, rabbitmqInstalled } from '../support/rabbitmq.ts'

const api = useApi()

/** Runs rabbitmqadmin, and gives what it printed. */
async function admin(...words: string[]): Promise<string> {
  const child = spawn('python3', [adminPath!, '--port', String(api.port), '--host', '127.0.0.1', ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [out, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  if (code !== 0) throw new Error(`rabbitmqadmin ${words.join(' ')} failed: ${errors}${out}`)
  return out
}

async function rows(...words: string[]): Promise<readonly Record<string, unknown>[]> {
  return JSON.parse(await admin('--format', 'raw_json', ...words)) as Record<string, unknown>[]
}

// Debian's package rabbitmq-server carries it; without that, or without Python, there is nothing to run.
describe.skipIf(adminPath === null)('rabbitmqadmin', { timeout: 120_000 }, () => {
  let directory = ''
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'leveret-admin-'))
  })
  afterAll(() => rm(directory, { recursive: true, force: true }))

  it('shows the overview, and lists what is there', async () => {
    expect(await admin('show', 'overview')).toContain('rabbitmq_version')
    for (const kind of ['nodes', 'vhosts', 'users', 'permissions', 'exchanges', 'queues', 'bindings', 'connections']) {
      expect(await admin('list', kind), kind).toMatch(/\+|No items/)
    }
    for (const kind of ['channels', 'consumers', 'parameters', 'policies', 'operator_policies', 'vhost_limits']) {
      expect(await admin('list', kind), kind).toMatch(/\+|No items/)
    }
  })

  it('declares, binds, publishes and gets', async () => {
    await admin('declare', 'exchange', 'name=orders', 'type=topic')
    await admin('declare', 'queue', 'name=new', 'durable=true', 'arguments={"x-max-length":5}')
    await admin('declare', 'binding', 'source=orders', 'destination=new', 'routing_key=order.#')
    expect(await rows('list', 'queues', 'name', 'durable')).toEqual([{ name: 'new', durable: true }])
    expect(await admin('publish', 'exchange=orders', 'routing_key=order.1', 'payload=hello')).toContain('published')
    expect(await admin('publish', 'exchange=orders', 'routing_key=none', 'payload=x')).toContain('NOT routed')
    expect(await rows('get', 'queue=new', 'ackmode=ack_requeue_false')).toMatchObject([
      { payload: 'hello', exchange: 'orders', routing_key: 'order.1', redelivered: false },
    ])
    expect(await admin('purge', 'queue', 'name=new')).toContain('purged')
    await admin(
      'delete',
      'binding',
      'source=orders',
      'destination=new',
      'destination_type=queue',
      'properties_key=order.%23',
    )
    expect((await rows('list', 'bindings', 'source', 'routing_key')).map((one) => one['source'])).toEqual([''])
  })

  it('declares users, vhosts, permissions, policies, limits and parameters, and deletes them', async () => {
    await admin('declare', 'vhost', 'name=v')
    await admin('declare', 'user', 'name=u', 'password=p', 'tags=management')
    await admin('declare', 'permission', 'vhost=v', 'user=u', 'configure=.*', 'write=.*', 'read=.*')
    await admin('-V', 'v', 'declare', 'policy', 'name=p', 'pattern=^a', 'definition={"max-length":5}', 'priority=2')
    await admin('-V', 'v', 'declare', 'operator_policy', 'name=o', 'pattern=^a', 'definition={"expires":500000}')
    await admin('declare', 'vhost_limit', 'vhost=v', 'name=max-queues', 'value=7')
    await admin(
      '-V',
      'v',
      'declare',
      'parameter',
      'component=shovel',
      'name=s',
      'value={"src-queue":"a","src-uri":"amqp://","dest-uri":"amqp://"}',
    )
    expect((await api.get('/api/policies/v/p')).body).toMatchObject({ pattern: '^a', priority: 2 })
    expect((await api.get('/api/operator-policies/v/o')).body).toMatchObject({ definition: { expires: 500_000 } })
    expect((await api.get('/api/vhost-limits/v')).body).toEqual([{ vhost: 'v', value: { 'max-queues': 7 } }])
    await admin('-V', 'v', 'delete', 'parameter', 'component=shovel', 'name=s')
    await admin('-V', 'v', 'delete', 'operator_policy', 'name=o')
    await admin('-V', 'v', 'delete', 'policy', 'name=p')
    await admin('delete', 'vhost_limit', 'vhost=v', 'name=max-queues')
    await admin('delete', 'permission', 'vhost=v', 'user=u')
    await admin('delete', 'user', 'name=u')
    await admin('delete', 'vhost', 'name=v')
    expect((await api.get('/api/vhosts/v')).status).toBe(404)
  })

  it('exports definitions and imports them', async () => {
    const file = join(directory, 'definitions.json')
    await admin('export', file)
    const definitions = JSON.parse(await readFile(file, 'utf8')) as { queues: readonly object[] }
    expect(definitions.queues).toMatchObject([{ name: 'new' }])
    await admin('delete', 'queue', 'name=new')
    await admin('delete', 'exchange', 'name=orders')
    await admin('import', file)
    expect(await rows('list', 'queues', 'name')).toEqual([{ name: 'new' }])
  })

  it('says what is refused, and ends with a failure', async () => {
    await expect(admin('declare', 'queue', 'name=new', 'durable=false')).rejects.toThrow('inequivalent arg')
    await expect(admin('delete', 'queue', 'name=nothing')).rejects.toThrow('Not found')
    await expect(admin('-u', 'guest', '-p', 'wrong', 'list', 'queues')).rejects.toThrow('Access refused')
  })
})

// Only where that package is installed.
describe.skipIf(!rabbitmqInstalled)('definitions of a running RabbitMQ', { timeout: 240_000 }, () => {
  let rabbit: RabbitMQ
  beforeAll(async () => {
    rabbit = await RabbitMQ.start()
  }, 240_000)
  afterAll(() => rabbit.stop())

  it('come over, go back, and are the same but for what the list of differences names', async () => {
    const fixture = await readFile(new URL('fixtures/rabbitmq-3.10.8.json', import.meta.url), 'utf8')
    expect((await rabbit.call('POST', '/api/definitions', fixture)).status).toBe(204)
    const theirs = await (await rabbit.call('GET', '/api/definitions')).text()
    const empty = new Api()
    await empty.start()
    try {
      expect((await empty.call('POST', '/api/definitions', { raw: theirs })).status).toBe(204)
      const ours = (await empty.get('/api/definitions')).body
      expect(compared(ours)).toEqual(compared(JSON.parse(theirs) as Body))
      expect((await rabbit.call('POST', '/api/definitions', JSON.stringify(ours))).status).toBe(204)
      const back = (await (await rabbit.call('GET', '/api/definitions')).json()) as Body
      expect(compared(back)).toEqual(compared(ours))
    } finally {
      await empty.stop()
    }
  })
})
