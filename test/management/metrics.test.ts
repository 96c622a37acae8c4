// What Prometheus scrapes: the names that dashboards query, with the labels that they join by.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connect } from 'amqplib'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { Pattern } from '../../src/lib/pattern.ts'
import { SLICE_MS, Slices } from '../../src/lib/slices.ts'
import { queuesNamed } from '../../src/management/metrics/objects.ts'
import { startServer } from '../../src/server.ts'
import { items, useApi, word } from '../support/api.ts'
import { ManualPasses } from '../support/manual-passes.ts'

const api = useApi()

/** What the dashboard RabbitMQ-Overview queries. */
const DASHBOARD = [
  'identity_info',
  'build_info',
  'erlang_uptime_seconds',
  'queue_messages_ready',
  'queue_messages_unacked',
  'connections',
  'channels',
  'queues',
  'connections_opened_total',
  'connections_closed_total',
  'channels_opened_total',
  'channels_closed_total',
  'queues_declared_total',
  'queues_created_total',
  'queues_deleted_total',
  'process_resident_memory_bytes',
  'resident_memory_limit_bytes',
  'disk_space_available_bytes',
  'disk_space_available_limit_bytes',
  'process_open_fds',
  'process_max_fds',
  'global_publishers',
  'global_consumers',
  'global_messages_received_total',
  'global_messages_received_confirm_total',
  'global_messages_routed_total',
  'global_messages_confirmed_total',
  'global_messages_unroutable_dropped_total',
  'global_messages_unroutable_returned_total',
  'global_messages_delivered_total',
  'global_messages_delivered_consume_manual_ack_total',
  'global_messages_delivered_consume_auto_ack_total',
  'global_messages_delivered_get_manual_ack_total',
  'global_messages_delivered_get_auto_ack_total',
  'global_messages_get_empty_total',
  'global_messages_redelivered_total',
  'global_messages_acknowledged_total',
  'message_size_bytes_bucket',
  'message_size_bytes_sum',
  'message_size_bytes_count',
]

/** What else people alert on. */
const ALERTED = [
  'alarms_memory_used_watermark',
  'alarms_free_disk_space_watermark',
  'alarms_file_descriptor_limit',
  'global_messages_dead_lettered_confirmed_total',
  'global_messages_dead_lettered_delivery_limit_total',
  'global_messages_dead_lettered_expired_total',
  'global_messages_dead_lettered_maxlen_total',
  'global_messages_dead_lettered_rejected_total',
  'queue_messages',
  'queue_messages_bytes',
  'queue_consumers',
  'queue_messages_published_total',
  'connection_incoming_bytes_total',
  'connection_outgoing_bytes_total',
  'auth_attempts_total',
  'auth_attempts_succeeded_total',
  'auth_attempts_failed_total',
]

/** Debian's package prometheus has it. */
const NO_PROMTOOL = spawnSync('promtool', ['--version']).error !== undefined

/** The series of a text by name and labels, each of which may be there once. */
function seriesOf(text: string): Map<string, number> {
  const series = new Map<string, number>()
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const match = /^([a-zA-Z_:][\w:]*(?:\{(?:\w+="(?:[^"\\\n]|\\["\\n])*",?)*\})?) (\S+)$/.exec(line)
    expect(match, line).not.toBeNull()
    expect(series.has(match![1]!), line).toBe(false)
    series.set(match![1]!, Number(match![2]))
  }
  return series
}

/** Samples and acknowledgements come when they come, and on a slow machine late. */
const WAIT = { timeout: 15_000, interval: 10 }

async function scrape(path: string): Promise<Map<string, number>> {
  const response = await fetch(`http://127.0.0.1:${api.server.ports.prometheus}${path}`)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  return seriesOf(await response.text())
}

beforeAll(async () => {
  const client = await connect(api.amqp)
  const channel = await client.createConfirmChannel()
  await channel.assertQueue('say "hi"\\')
  channel.sendToQueue('say "hi"\\', Buffer.alloc(50))
  channel.sendToQueue('say "hi"\\', Buffer.alloc(500))
  channel.sendToQueue('nowhere', Buffer.alloc(100_001))
  await channel.waitForConfirms()
  api.clock.advance(5000)
})

describe('/metrics', () => {
  it('has every series that the dashboard RabbitMQ-Overview queries', async () => {
    const names = new Set(Array.from((await scrape('/metrics')).keys(), (key) => key.split('{')[0]))
    expect([...DASHBOARD, ...ALERTED].filter((name) => !names.has(`rabbitmq_${name}`))).toEqual([])
  })

  it('has every series that our own dashboard queries', async () => {
    const names = new Set(Array.from((await scrape('/metrics')).keys(), (key) => key.split('{')[0]!))
    const dashboard = readFileSync('docs/monitoring/grafana/dashboards/leveret.json', 'utf8')
    const queried = new Set(dashboard.match(/\b(?:rabbitmq|leveret)_\w+/g))
    expect(queried.size).toBeGreaterThan(30)
    expect([...queried].filter((name) => !names.has(name))).toEqual([])
  })

  it('counts', async () => {
    const series = await scrape('/metrics')
    expect(series.get('rabbitmq_queue_messages_ready')).toBe(2)
    expect(series.get('rabbitmq_global_messages_received_total{protocol="amqp091"}')).toBe(3)
    expect(series.get('rabbitmq_global_messages_routed_total{protocol="amqp091"}')).toBe(2)
    expect(series.get('rabbitmq_global_messages_confirmed_total{protocol="amqp091"}')).toBe(3)
    expect(series.get('rabbitmq_global_messages_unroutable_dropped_total{protocol="amqp091"}')).toBe(1)
    expect(series.get('rabbitmq_message_size_bytes_bucket{protocol="amqp091",le="100.0"}')).toBe(1)
    expect(series.get('rabbitmq_message_size_bytes_bucket{protocol="amqp091",le="100000.0"}')).toBe(2)
    expect(series.get('rabbitmq_message_size_bytes_bucket{protocol="amqp091",le="+Inf"}')).toBe(3)
    expect(series.get('rabbitmq_connections_opened_total')).toBe(1)
  })

  it('tells queue types apart, also when the queue is gone', async () => {
    const client = await connect(api.amqp)
    const channel = await client.createChannel()
    await channel.assertQueue('quorum', { arguments: { 'x-queue-type': 'quorum' } })
    channel.sendToQueue('quorum', Buffer.from('a'))
    const received = await channel.get('quorum')
    if (received === false) throw new Error('nothing was got')
    channel.ack(received)
    await channel.deleteQueue('quorum')
    const acknowledged = (series: Map<string, number>, type: string): number | undefined =>
      series.get(`rabbitmq_global_messages_acknowledged_total{protocol="amqp091",queue_type="rabbit_${type}_queue"}`)
    await vi.waitFor(async () => {
      api.clock.advance(5000)
      const series = await scrape('/metrics')
      expect(acknowledged(series, 'quorum')).toBe(1)
      expect(acknowledged(series, 'classic')).toBe(0)
    }, WAIT)
    await client.close()
  })

  it('counts what queues give up, by reason', async () => {
    const client = await connect(api.amqp)
    const channel = await client.createConfirmChannel()
    await channel.assertQueue('short', { maxLength: 1 })
    await channel.assertQueue('short with letters', { maxLength: 1, deadLetterExchange: 'none' })
    for (const queue of ['short', 'short', 'short', 'short with letters', 'short with letters']) {
      channel.sendToQueue(queue, Buffer.from('a'))
    }
    await channel.waitForConfirms()
    const series = await scrape('/metrics')
    const dead = (strategy: string): number | undefined =>
      series.get(
        `rabbitmq_global_messages_dead_lettered_maxlen_total{queue_type="rabbit_classic_queue",dead_letter_strategy="${strategy}"}`,
      )
    expect(dead('disabled')).toBe(2)
    expect(dead('at_most_once')).toBe(1)
    await channel.deleteQueue('short')
    await channel.deleteQueue('short with letters')
    await client.close()
  })

  it('counts logins by protocol', async () => {
    const count = async (name: string): Promise<number> =>
      (await scrape('/metrics')).get(`rabbitmq_auth_attempts${name}_total{protocol="amqp091"}`)!
    const [failed, all] = [await count('_failed'), await count('')]
    await expect(connect(api.amqp.replace('guest:guest', 'guest:wrong'))).rejects.toThrow('ACCESS_REFUSED')
    expect(await count('_failed')).toBe(failed + 1)
    expect(await count('')).toBe(all + 1)
  })

  it('knows how long the oldest message has waited', async () => {
    // Samples are taken in slices: one may still be under way when the next falls due.
    await vi.waitFor(async () => {
      api.clock.advance(5000)
      expect((await scrape('/metrics')).get('leveret_oldest_message_age_seconds')).toBeGreaterThanOrEqual(60)
    }, WAIT)
    const single = await scrape('/metrics/per-object')
    const ofQueue = single.get('leveret_queue_oldest_message_age_seconds{vhost="/",queue="say \\"hi\\"\\\\"}')
    expect(ofQueue).toBeGreaterThanOrEqual(60)
  })

  // Skipped where Debian's package prometheus is not installed, which has promtool.
  it
    .skipIf(NO_PROMTOOL)
    .each([
      '/metrics',
      '/metrics/per-object',
      '/metrics/detailed?family=queue_metrics&family=vhost_status&family=queue_exchange_metrics&family=channel_queue_metrics',
      '/metrics/memory-breakdown',
    ])('is found valid by promtool: %s', async (path) => {
    const response = await fetch(`http://127.0.0.1:${api.server.ports.prometheus}${path}`)
    const { status, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: await response.text() })
    expect(String(stderr)).toBe('')
    expect(status).toBe(0)
  })

  it('is served on the port of the API to those who monitor', async () => {
    expect((await api.get('/metrics', { user: '' })).status).toBe(401)
    expect((await api.get('/metrics')).status).toBe(200)
  })
})

describe('/metrics/per-object', () => {
  it('has a series for each queue, whatever its name', async () => {
    const series = await scrape('/metrics/per-object')
    expect(series.get('rabbitmq_queue_messages_ready{vhost="/",queue="say \\"hi\\"\\\\"}')).toBe(2)
    expect([...series.keys()].some((key) => key.startsWith('rabbitmq_channel_messages_published_total{'))).toBe(true)
  })

  it('counts for each exchange what was published to it, and what it routed', async () => {
    const series = await scrape('/metrics/per-object')
    const labels = '{vhost="/",exchange=""}'
    expect(series.get(`rabbitmq_exchange_messages_published_total${labels}`)).toBeGreaterThanOrEqual(3)
    expect(series.get(`leveret_exchange_messages_routed_total${labels}`)).toBeGreaterThanOrEqual(2)
  })

  it('is what /metrics answers too, on an address of its own, where that is set', async () => {
    const server = await startServer({
      host: '127.0.0.1',
      managementHost: '127.0.0.1',
      managementPort: 0,
      prometheusHost: 'localhost',
      prometheusPort: 0,
      metricsPerObject: true,
    })
    try {
      const { management, prometheus } = server.ports
      const response = await fetch(`http://localhost:${prometheus}/metrics`)
      expect([...seriesOf(await response.text()).keys()]).toContain(
        'rabbitmq_exchange_messages_published_total{vhost="/",exchange="amq.fanout"}',
      )
      const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
      const overview = await fetch(`http://127.0.0.1:${management}/api/overview`, { headers: { authorization } })
      const { listeners } = (await overview.json()) as { readonly listeners: readonly unknown[] }
      expect(listeners).toContainEqual(
        expect.objectContaining({ protocol: 'http/prometheus', ip_address: 'localhost', port: prometheus }),
      )
    } finally {
      await server.close()
    }
  })
})

describe('the path of metrics', () => {
  it.each([
    ['/scrape/rabbit', '/scrape/rabbit', '/metrics'],
    ['/scrape/', '/scrape', '/metrics/detailed'],
    ['/', '', '/metrics'],
  ])('may be %s on their own port', async (prometheusPath, below, gone) => {
    const server = await startServer({
      host: '127.0.0.1',
      managementHost: '127.0.0.1',
      managementPort: 0,
      prometheusPort: 0,
      prometheusPath,
    })
    try {
      const status = async (path: string): Promise<number> =>
        (await fetch(`http://127.0.0.1:${server.ports.prometheus}${path}`)).status
      for (const path of ['', '/', '/per-object', '/detailed?family=vhost_status', '/memory-breakdown']) {
        expect(await status(`${below}${path}`), path).toBe(200)
      }
      expect(await status(gone)).toBe(404)
      // Where it is for those who log in, it stays.
      expect((await fetch(`http://127.0.0.1:${server.ports.management}/metrics`)).status).toBe(401)
    } finally {
      await server.close()
    }
  })
})

describe('/metrics/detailed', () => {
  it('tells those who log in who tried to log in, from where', async () => {
    const path = '/metrics/detailed?family=auth_attempt_detailed_metrics'
    const user = 'an "odd"\nname'
    for (const password of ['wrong', 'worse']) {
      const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
      await api.get('/api/whoami', { user: '', headers: { authorization } })
    }
    const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
    const response = await fetch(`http://127.0.0.1:${api.port}${path}`, { headers: { authorization } })
    const series = seriesOf(await response.text())
    const labels = String.raw`{remote_address="127.0.0.1",username="an \"odd\"\nname",protocol="http"}`
    const values = ['', '_succeeded', '_failed'].map((name) =>
      series.get(`rabbitmq_detailed_auth_attempts_detailed${name}_total${labels}`),
    )
    expect(values).toEqual([2, 0, 2])
    // Who scrapes without a login learns no names.
    expect([...(await scrape(path)).keys()].filter((name) => name.includes('auth'))).toEqual([])
  })

  it('has the families, vhosts and queues that are asked for, and nothing else', async () => {
    const families = 'family=queue_coarse_metrics&family=queue_consumer_count&family=vhost_status'
    const names = (map: Map<string, number>): Set<string> =>
      new Set(Array.from(map.keys(), (key) => key.split('{')[0]!))
    expect([...names(await scrape(`/metrics/detailed?${families}`))]).toEqual([
      'rabbitmq_detailed_queue_messages_ready',
      'rabbitmq_detailed_queue_messages_unacked',
      'rabbitmq_detailed_queue_messages',
      'rabbitmq_detailed_queue_consumers',
      'rabbitmq_cluster_vhost_status',
      'rabbitmq_identity_info',
      'rabbitmq_build_info',
    ])
    const none = await scrape(`/metrics/detailed?family=queue_coarse_metrics&queue=^other`)
    expect([...names(none)]).toEqual(['rabbitmq_identity_info', 'rabbitmq_build_info'])
  })
})

describe('/metrics/detailed of who publishes where and who gets what', () => {
  it('tells by queue and exchange, channel and exchange, channel and queue', async () => {
    const client = await connect(api.amqp)
    const channel = await client.createConfirmChannel()
    await channel.assertQueue('told')
    await channel.bindQueue('told', 'amq.fanout', '')
    channel.publish('amq.fanout', '', Buffer.from('a'))
    channel.sendToQueue('told', Buffer.from('b'))
    await channel.waitForConfirms()
    let [got, reached] = [0, (): void => undefined]
    const both = new Promise<void>((resolve) => (reached = resolve))
    await channel.consume('told', (message) => {
      channel.ack(message!)
      if (++got === 2) reached()
    })
    await both
    const families = [
      'queue_exchange_metrics',
      'channel_queue_exchange_metrics',
      'channel_exchange_metrics',
      'channel_queue_metrics',
    ]
    const path = `/metrics/detailed?queue=^told$&${families.map((family) => `family=${family}`).join('&')}`
    const [consumer] = items((await api.get('/api/queues/%2F/told')).body['consumer_details'])
    const name = word(consumer?.['channel_details']?.['name'])
    const queue = (exchange: string) =>
      `rabbitmq_detailed_queue_exchange_messages_published_total{vhost="/",exchange="${exchange}",queue="told"}`
    const arrivals = (exchange: string) =>
      `rabbitmq_detailed_queue_messages_published_total{queue_vhost="/",queue="told",exchange_vhost="/",exchange="${exchange}"}`
    const publishes = (exchange: string) =>
      `rabbitmq_detailed_channel_messages_published_total{channel="${name}",vhost="/",exchange="${exchange}"}`
    const deliveries = (what: string) =>
      `rabbitmq_detailed_channel_messages_${what}_total{channel="${name}",vhost="/",queue="told"}`
    await vi.waitFor(async () => {
      const series = await scrape(path)
      for (const exchange of ['', 'amq.fanout']) {
        const told = [queue, arrivals, publishes].map((metric) => series.get(metric(exchange)))
        expect(told).toEqual([1, 1, 1])
      }
      expect(['delivered_ack', 'acked', 'delivered', 'redelivered'].map((one) => series.get(deliveries(one)))).toEqual([
        2, 2, 0, 0,
      ])
    }, WAIT)
    await client.close()
  })
})

describe('/metrics/memory-breakdown', () => {
  it('says where the memory is', async () => {
    const series = await scrape('/metrics/memory-breakdown')
    expect(series.get('rabbitmq_memory_code_module_bytes')).toBeGreaterThan(0)
    expect(series.get('rabbitmq_memory_binary_heap_bytes')).toBeGreaterThan(0)
    expect([...series.keys()].filter((key) => key.startsWith('rabbitmq_memory_'))).toHaveLength(26)
    expect([...series.keys()].some((key) => key.includes('rabbitmq_endpoint="memory-breakdown"'))).toBe(true)
  })
})

describe('an expression over the names of queues', () => {
  it('leaves others their turn after each name, for a slow one takes milliseconds', async () => {
    const passes = new ManualPasses(SLICE_MS / 2)
    const queues = Array.from({ length: 100 }, (_, i) => ({ name: `q${i}` }))
    const finding = queuesNamed(queues, new Pattern('^q.?$'), new Slices(passes))
    expect(await passes.runAll()).toBeGreaterThanOrEqual(50)
    expect(await finding).toEqual(queues.slice(0, 10))
  })

  it('is refused when it is too long', async () => {
    const path = `/metrics/detailed?family=queue_coarse_metrics&queue=${'a*'.repeat(513)}`
    expect((await api.get(path)).status).toBe(400)
  })
})
