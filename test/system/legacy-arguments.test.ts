// Arguments that RabbitMQ had and mostly has no more, or that mean nothing on one node: taken, shown, and compared as long
// as RabbitMQ compared them.
import { afterEach, describe, expect, it } from 'vitest'
import { useApi } from '../support/api.ts'
import { tagged, type Value } from '../support/field-values.ts'
import { RawClient, type RawChannel } from '../support/raw-client.ts'

const api = useApi()
const clients: RawClient[] = []

afterEach(async () => {
  for (const client of clients.splice(0)) client.drop()
  await api.delete('/api/queues/%2F/q')
})

async function connected(): Promise<RawChannel> {
  const client = await RawClient.open(api.server.ports.amqp)
  clients.push(client)
  return client.openChannel()
}

describe.each(['classic', 'quorum'])('a %s queue', (type) => {
  it.each<[string, Value, Value]>([
    ['x-queue-mode', 'lazy', 'default'],
    ['x-queue-version', 2, 1],
    ['x-queue-leader-locator', 'client-local', 'balanced'],
    ['x-queue-master-locator', 'min-masters', 'random'],
    ['x-quorum-initial-group-size', 3, 5],
    ['x-max-in-memory-length', 100, 200],
    ['x-max-in-memory-bytes', 1000, 2000],
    ['x-consumer-disconnected-timeout', 1000, 2000],
  ])('takes %s, shows it, and may not be declared again with another', async (key, value, other) => {
    const channel = await connected()
    const declaration = { queue: 'q', durable: true, arguments: { 'x-queue-type': type, [key]: value } }
    await channel.call('queue.declare', declaration)
    await channel.call('queue.declare', declaration)
    const { arguments: shown } = (await api.get('/api/queues/%2F/q')).body
    expect(shown).toEqual({ 'x-queue-type': type, [key]: value })
    channel.publish({ 'routing-key': 'q' }, 'm')
    expect((await channel.get('q')).body.toString()).toBe('m')
    channel.send('queue.declare', { ...declaration, arguments: { 'x-queue-type': type, [key]: other } })
    const difference = `received '${String(other)}' but current is '${String(value)}'`
    const text = `PRECONDITION_FAILED - inequivalent arg '${key}' for queue 'q' in vhost '/': ${difference}`
    await channel.expectChannelClose(406, text, 'queue.declare')
  })

  it.each<[string, Value, unknown]>([
    ['x-ha-policy', 'all', 'all'],
    ['x-ha-policy-params', ['rabbit@a', 'rabbit@b'], ['rabbit@a', 'rabbit@b']],
    ['x-ha-nodes', 7, 7],
    ['mine', tagged('d', 1.5), 1.5],
  ])('takes %s, shows it, and does not compare it', async (key, value, shown) => {
    const channel = await connected()
    const declaration = { queue: 'q', durable: true, arguments: { 'x-queue-type': type, [key]: value } }
    await channel.call('queue.declare', declaration)
    await channel.call('queue.declare', { ...declaration, arguments: { 'x-queue-type': type } })
    const { arguments: kept } = (await api.get('/api/queues/%2F/q')).body
    expect(kept).toEqual({ 'x-queue-type': type, [key]: shown })
  })

  it('takes x-cancel-on-ha-failover from its consumers', async () => {
    const channel = await connected()
    await channel.queue('q', { durable: true, arguments: { 'x-queue-type': type } })
    await channel.consume('q', { arguments: { 'x-cancel-on-ha-failover': true } })
    channel.publish({ 'routing-key': 'q' }, 'm')
    await channel.expectDeliver({ 'delivery-tag': 1 }, 'm')
  })
})
