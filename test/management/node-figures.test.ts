// What the API tells of the node and of comings and goings, and how fast they change.
import { connect } from 'amqplib'
import { describe, expect, it, vi } from 'vitest'
import { items, useApi, word, type Body } from '../support/api.ts'

const api = useApi()
const HISTORY = 'node_stats_age=10&node_stats_incr=5&lengths_age=10&lengths_incr=5'

async function node(): Promise<Body> {
  const name = word((await api.get('/api/overview')).body['node'])
  return (await api.get(`/api/nodes/${encodeURIComponent(name)}?${HISTORY}`)).body
}

describe('comings and goings', () => {
  it('have rates and a history', async () => {
    const client = await connect(api.amqp)
    const channel = await client.createChannel()
    await channel.assertQueue('one')
    await channel.assertQueue('one')
    api.clock.advance(5000)
    const churn = async () => (await api.get(`/api/overview?${HISTORY}`)).body['churn_rates']
    // Samples are taken in slices.
    await expect.poll(churn).toMatchObject({
      connection_created: 1,
      connection_created_details: { rate: 0.2, samples: [{ sample: 1 }, { sample: 0 }, { sample: 0 }] },
      channel_created_details: { rate: 0.2 },
      queue_declared: 2,
      queue_declared_details: { rate: 0.4, avg_rate: 0.2 },
      queue_created_details: { rate: 0.2 },
      queue_deleted: 0,
      queue_deleted_details: { rate: 0 },
    })
    expect(await node()).toMatchObject({ queue_declared: 2, queue_declared_details: { rate: 0.4 } })
    await client.close()
  })
})

describe('the node', () => {
  it('tells what the system tells of the process', async () => {
    api.clock.advance(5000)
    const told = await node()
    for (const name of ['mem_used', 'fd_used', 'disk_free', 'context_switches', 'io_read_count', 'io_write_bytes']) {
      expect(told[name]).toBeGreaterThanOrEqual(0)
      expect(told[`${name}_details`]).toMatchObject({ rate: expect.any(Number), samples: { length: 3 } })
    }
    expect(told['mem_used']).toBeGreaterThan(1e6)
    expect(told['context_switches']).toBeGreaterThan(0)
    expect(told).toMatchObject({ gc_num: 0, gc_num_details: { rate: 0 }, queue_index_read_count: 0 })
  })

  it.runIf(process.platform === 'linux')('counts the open files of the process', async () => {
    const { fd_used: used, fd_total: most } = await node()
    expect(used).toBeGreaterThan(3)
    expect(most).toBeGreaterThan(Number(used))
  })
})

describe('a queue', () => {
  it('tells whose it is, and what it takes', async () => {
    const client = await connect(api.amqp)
    const channel = await client.createConfirmChannel()
    await channel.assertQueue('mine', { exclusive: true })
    channel.sendToQueue('mine', Buffer.alloc(100))
    await channel.waitForConfirms()
    const { body: queue } = await api.get('/api/queues/%2F/mine')
    const [connection] = (await api.get('/api/connections')).body as unknown as readonly Body[]
    expect(queue).toMatchObject({
      exclusive: true,
      owner_pid_details: { name: connection!['name'], peer_host: '127.0.0.1', peer_port: expect.any(Number) },
      message_bytes: 100,
      message_bytes_ram: 100,
      message_bytes_paged_out: 0,
    })
    expect(queue['memory']).toBeGreaterThanOrEqual(100)
    await client.close()
    expect((await api.get('/api/queues/%2F/one')).body).not.toHaveProperty('owner_pid_details')
  })

  it('tells which of its messages are in memory, and when the next was made', async () => {
    const client = await connect(api.amqp)
    const channel = await client.createConfirmChannel()
    await channel.assertQueue('dated')
    channel.sendToQueue('dated', Buffer.alloc(10), { timestamp: 1_700_000_123 })
    channel.sendToQueue('dated', Buffer.alloc(10))
    await channel.waitForConfirms()
    expect((await api.get('/api/queues/%2F/dated')).body).toMatchObject({
      head_message_timestamp: 1_700_000_123,
      messages_ram: 2,
      messages_ready_ram: 2,
      messages_unacknowledged_ram: 0,
      messages_paged_out: 0,
      backing_queue_status: { mode: 'default', version: 2, len: 2, next_seq_id: 2, num_pending_acks: 0 },
    })
    await channel.get('dated')
    expect((await api.get('/api/queues/%2F/dated')).body).toMatchObject({
      head_message_timestamp: null,
      messages_ram: 2,
      messages_ready_ram: 1,
      messages_unacknowledged_ram: 1,
      backing_queue_status: { len: 1, num_pending_acks: 1 },
    })
    await client.close()
  })

  it('tells which of its messages survive a restart, wherever they are', async () => {
    const client = await connect(api.amqp)
    const channel = await client.createConfirmChannel()
    for (const [queue, options] of [
      ['kept', { durable: true }],
      ['ranked', { durable: true, maxPriority: 5 }],
      ['quorum', { durable: true, arguments: { 'x-queue-type': 'quorum' } }],
      ['passing', { durable: false }],
    ] as const) {
      await channel.assertQueue(queue, options)
      for (const [persistent, bytes] of [
        [true, 10],
        [false, 100],
        [true, 1000],
      ] as const) {
        channel.sendToQueue(queue, Buffer.alloc(bytes), { persistent, priority: bytes === 10 ? 3 : 0 })
      }
    }
    await channel.waitForConfirms()
    const persistent = async (queue: string) => {
      const { body } = await api.get(`/api/queues/%2F/${queue}`)
      return [body['messages_persistent'], body['message_bytes_persistent']]
    }
    expect(await persistent('kept')).toEqual([2, 1010])
    expect(await persistent('ranked')).toEqual([2, 1010])
    expect(await persistent('quorum')).toEqual([3, 1110])
    expect(await persistent('passing')).toEqual([0, 0])
    const got = await channel.get('kept')
    expect(await persistent('kept')).toEqual([2, 1010])
    if (got !== false) channel.ack(got)
    await channel.checkQueue('kept')
    expect(await persistent('kept')).toEqual([1, 1000])
    await channel.purgeQueue('kept')
    expect(await persistent('kept')).toEqual([0, 0])
    await client.close()
  })

  it('of the quorum type has a quorum of one', async () => {
    await api.put('/api/queues/%2F/alone', { durable: true, arguments: { 'x-queue-type': 'quorum' } })
    const { body } = await api.get('/api/queues/%2F/alone')
    const { node: name } = body
    expect(body).toMatchObject({ leader: name, members: [name], online: [name] })
  })

  it('tells since when nothing has happened in it, and so does a channel', async () => {
    const client = await connect(api.amqp)
    await client.createChannel()
    const since = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$/
    await vi.waitFor(
      async () => {
        api.clock.advance(5000)
        expect((await api.get('/api/queues/%2F/one')).body['idle_since']).toMatch(since)
        const [channel] = items((await api.get('/api/channels')).body)
        expect(channel!['idle_since']).toMatch(since)
      },
      { timeout: 15_000, interval: 10 },
    )
    await client.close()
  })

  it('is shown in lists without what is null or of little use there', async () => {
    const ofProcess = { garbage_collection: { minor_gcs: 0 }, reductions: 0, reductions_details: { rate: 0 } }
    const row = async (path: string) => {
      const rows = items((await api.get(path)).body)
      return rows.find((queue) => word(queue['name']) === 'one')!
    }
    expect((await api.get('/api/queues/%2F/one')).body).toMatchObject({ policy: null, ...ofProcess })
    expect(await row('/api/queues/detailed')).toMatchObject({ policy: null, ...ofProcess, backing_queue_status: {} })
    for (const path of ['/api/queues', '/api/queues/%2F']) {
      const listed = await row(path)
      expect(listed).toMatchObject({ messages: 0, reductions: 0 })
      expect(Object.values(listed)).not.toContain(null)
      for (const name of ['garbage_collection', 'backing_queue_status', 'idle_since', 'policy']) {
        expect(listed).not.toHaveProperty(name)
      }
    }
    expect(await row('/api/queues?columns=name,policy,garbage_collection.minor_gcs')).toEqual({
      name: 'one',
      policy: null,
      garbage_collection: { minor_gcs: 0 },
    })
  })
})

describe('the node', () => {
  it('is found by the name that RabbitMQ would give it, which checks ask for', async () => {
    const name = word((await api.get('/api/overview')).body['node'])
    const theirs = name.replace(/^[^@]+/, 'rabbit')
    expect((await api.get(`/api/nodes/${encodeURIComponent(theirs)}`)).body).toMatchObject({ name, running: true })
    expect((await api.get('/api/nodes/rabbit@elsewhere')).status).toBe(404)
  })
})
