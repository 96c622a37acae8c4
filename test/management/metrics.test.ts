// What Prometheus scrapes: the names that dashboards query, with the labels that they join by.
import { connect } from 'amqplib'
import { beforeAll, describe, expect, it } from 'vitest'
import { useApi } from '../support/api.ts'

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
    expect(DASHBOARD.filter((name) => !names.has(`rabbitmq_${name}`))).toEqual([])
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
})

describe('/metrics/detailed', () => {
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
