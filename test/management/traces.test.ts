// Traces: what passes through a vhost, written down as the tracing plugin of RabbitMQ does it.
import { connect, type Channel, type ChannelModel } from 'amqplib'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { items, useApi, word } from '../support/api.ts'

const api = useApi()
const T = '/api/traces/%2F'
const FILES = '/api/trace-files'
let client: ChannelModel
let channel: Channel
let node: string

beforeAll(async () => {
  client = await connect(api.amqp)
  channel = await client.createChannel()
  await channel.assertQueue('q')
  node = word((await api.get('/api/overview')).body['node'])
})
afterAll(() => client.close())

/** Sends one message through the queue, and waits until it was written down there and back. */
async function pass(text: string, file: string, words: string): Promise<string> {
  channel.sendToQueue('q', Buffer.from(text), { contentType: 'text/plain', headers: { a: 1, b: 'x' } })
  await expect.poll(() => channel.get('q', { noAck: true })).not.toBe(false)
  const written = async (): Promise<string> => word((await api.get(`${FILES}/${file}`)).body)
  await expect.poll(written).toContain(words)
  return written()
}

describe('a trace', () => {
  it('writes messages down as JSON, with as much of the body as it is to', async () => {
    expect((await api.put(`${T}/j`, { format: 'json', pattern: '#', max_payload_bytes: 3 })).status).toBe(201)
    const written = await pass('hällo', 'j.log', 'received')
    const [published, received, ...more] = written
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown)
    const both = {
      channel: 1,
      connection: expect.stringMatching(/^127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+$/),
      exchange: '',
      node: node,
      payload: Buffer.from('hällo').subarray(0, 3).toString('base64'),
      properties: { content_type: 'text/plain', headers: { a: 1, b: 'x' } },
      routing_keys: ['q'],
      timestamp: new Date(api.clock.now()).toISOString().replace('Z', '+00:00'),
      user: 'guest',
      vhost: '/',
    }
    expect(published).toEqual({ ...both, queue: 'none', routed_queues: ['q'], type: 'published' })
    expect(received).toEqual({ ...both, queue: 'q', routed_queues: 'none', type: 'received' })
    expect(more).toEqual([])
    expect((await api.delete(`${T}/j`)).status).toBe(204)
  })

  it('writes them down as text for people', async () => {
    await api.put(`${T}/t`, { format: 'text', pattern: 'publish.#' })
    const written = await pass('hällo', 't.log', 'hällo')
    expect(written.replace(/127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+/, 'A -> B')).toBe(
      `
${'='.repeat(80)}
${new Date(api.clock.now()).toISOString().replace('Z', '+00:00')}: Message published

Node:         ${node}
Connection:   A -> B
Virtual host: /
User:         guest
Channel:      1
Exchange:     
Routing keys: [<<"q">>]
Routed queues: [<<"q">>]
Properties:   [{<<"content_type">>,longstr,<<"text/plain">>},{<<"headers">>,table,[{<<"a">>,byte,1},{<<"b">>,longstr,<<"x">>}]}]
Payload: 
hällo
`,
    )
    await api.delete(`${T}/t`)
  })

  it('is listed with its queue, and its vhost is traced until it is stopped', async () => {
    const tracing = async () => (await api.get('/api/vhosts/%2F')).body['tracing']
    expect(await tracing()).toBe(false)
    await api.put(`${T}/one`, { format: 'json', pattern: 'deliver.#' })
    await api.put(`${T}/two`, { format: 'text', pattern: '#', max_payload_bytes: 0 })
    expect(await tracing()).toBe(true)
    const queue = { vhost: '/', exclusive: true, consumers: 1, name: expect.stringMatching(/^amq\.gen-/) as string }
    const one = { name: 'one', vhost: '/', format: 'json', pattern: 'deliver.#', queue }
    expect((await api.get('/api/traces?sort=name')).body).toMatchObject([one, { name: 'two', max_payload_bytes: 0 }])
    expect((await api.get(`/api/traces/node/${node}/%2F/one`)).body).toMatchObject(one)
    expect(items((await api.get(T)).body)).toHaveLength(2)
    expect((await api.delete(`${T}/one`)).status).toBe(204)
    expect((await api.delete(`${T}/one`)).status).toBe(404)
    expect(await tracing()).toBe(true)
    await api.delete(`${T}/two`)
    expect(await tracing()).toBe(false)
    expect(items((await api.get('/api/queues')).body)).toHaveLength(1)
  })

  it('leaves the firehose on where that was on before', async () => {
    await api.put('/api/vhosts/%2F', { tracing: true })
    await api.put(`${T}/t`, { format: 'json', pattern: '#' })
    await api.delete(`${T}/t`)
    expect((await api.get('/api/vhosts/%2F')).body['tracing']).toBe(true)
    await api.put('/api/vhosts/%2F', { tracing: false })
  })

  it('ends with its vhost, and with nothing else of it', async () => {
    await api.put('/api/vhosts/gone')
    await api.put('/api/traces/gone/t', { format: 'json', pattern: '#' })
    await api.delete('/api/vhosts/gone')
    expect((await api.get('/api/traces')).body).toEqual([])
    expect((await api.get('/api/traces/gone/t')).status).toBe(404)
  })

  it('does not wait for who reads it: what comes faster than it is written is written in turns', async () => {
    await api.put(`${T}/many`, { format: 'json', pattern: 'publish.#' })
    for (let i = 0; i < 1000; i++) channel.publish('', 'nowhere', Buffer.from(String(i)))
    const lines = await vi.waitFor(
      async () => {
        const written = word((await api.get(`${FILES}/many.log`)).body)
          .trimEnd()
          .split('\n')
        expect(written).toHaveLength(1000)
        return written
      },
      { timeout: 20_000 },
    )
    const payloads = lines.map((line) => (JSON.parse(line) as { payload: string }).payload)
    const numbers = payloads.map((payload) => Number(Buffer.from(payload, 'base64').toString()))
    expect(numbers).toEqual(numbers.map((_, i) => i))
    await api.delete(`${T}/many`)
  })

  it.each([
    [{ format: 'xml', pattern: '#' }, 400, 'format not json or text'],
    [{ format: 'json' }, 400, '[{key_missing,pattern}]'],
    [{ format: 'json', pattern: '#', max_payload_bytes: 'a' }, 400, 'max_payload_bytes not integer'],
    [{ format: 'json', pattern: '#', max_payload_bytes: -1 }, 400, 'max_payload_bytes is negative'],
    [
      { format: 'json', pattern: '#', tracer_connection_username: 'nobody', tracer_connection_password: 'x' },
      400,
      'tracer_connection_username cannot log in with tracer_connection_password',
    ],
  ])('is not started by %j', async (body, status, reason) => {
    const answer = await api.put(`${T}/wrong`, body)
    expect([answer.status, answer.body['reason']]).toEqual([status, reason])
    expect((await api.get(`${T}/wrong`)).status).toBe(404)
  })

  it('is not started twice, nor in a vhost that is not there or is closed to who listens', async () => {
    const trace = { format: 'json', pattern: '#' }
    await api.put(`${T}/twice`, trace)
    expect((await api.put(`${T}/twice`, trace)).status).toBe(400)
    expect((await api.put('/api/traces/none/t', trace)).status).toBe(404)
    expect((await api.get('/api/traces/none')).status).toBe(404)
    expect((await api.get('/api/traces/node/nobody')).status).toBe(400)
    await api.put('/api/users/ann', { password: 'p', tags: '' })
    const asAnn = { ...trace, tracer_connection_username: 'ann', tracer_connection_password: 'p' }
    expect((await api.put(`${T}/hers`, asAnn)).status).toBe(401)
    await api.put('/api/permissions/%2F/ann', { configure: '', write: '', read: '' })
    expect((await api.put(`${T}/hers`, asAnn)).body['reason']).toBe('Access refused.')
    await api.put('/api/permissions/%2F/ann', { configure: '.*', write: '.*', read: '.*' })
    expect((await api.put(`${T}/hers`, asAnn)).status).toBe(201)
    expect((await api.get(`${T}/hers`)).body).toMatchObject({ tracer_connection_username: 'ann' })
    expect((await api.get(`${T}/hers`)).body).not.toHaveProperty('tracer_connection_password')
    for (const name of ['twice', 'hers']) await api.delete(`${T}/${name}`)
  })
})

describe('a trace file', () => {
  it('stays when its trace is stopped, until it is deleted', async () => {
    await api.put(`${T}/kept`, { format: 'text', pattern: '#' })
    const written = await pass('body', 'kept.log', 'received')
    await api.delete(`${T}/kept`)
    const listed = items((await api.get(FILES)).body).find(({ name }) => word(name) === 'kept.log')
    expect(listed).toEqual({ name: 'kept.log', size: Buffer.byteLength(written) })
    const download = await api.get(`${FILES}/kept.log`)
    expect(download.headers.get('content-type')).toMatch(/^text\/plain/)
    expect(download.body).toBe(written)
    expect((await api.delete(`${FILES}/kept.log`)).status).toBe(204)
    expect((await api.delete(`${FILES}/kept.log`)).status).toBe(404)
    expect((await api.get(`${FILES}/kept.log`)).status).toBe(404)
    expect((await api.get(`${FILES}/..%2F..%2Fetc%2Fpasswd`)).status).toBe(404)
  })

  it('is one of a few', async () => {
    const before = items((await api.get(FILES)).body).length
    const names = Array.from({ length: 16 - before }, (_, i) => `f${i}`)
    for (const name of names) expect((await api.put(`${T}/${name}`, { format: 'json', pattern: 'x' })).status).toBe(201)
    const refused = await api.put(`${T}/more`, { format: 'json', pattern: 'x' })
    expect([refused.status, refused.body['reason']]).toEqual([400, expect.stringContaining('delete one')])
    for (const name of names) await api.delete(`${T}/${name}`)
    for (const name of names) await api.delete(`${FILES}/${name}.log`)
  })
})
