// What is refused, in the words that RabbitMQ 3.10.8 and later have for it.
import { describe, expect, it } from 'vitest'
import { useApi } from '../support/api.ts'

const api = useApi()

describe('what is to be made in a vhost that is missing', () => {
  it.each([
    ['queues/none/q', {}],
    ['exchanges/none/x', {}],
    ['policies/none/p', { pattern: '.', definition: { 'max-length': 1 } }],
    ['operator-policies/none/p', { pattern: '.', definition: { 'max-length': 1 } }],
    ['parameters/shovel/none/s', { value: { 'src-queue': 'a' } }],
    ['vhost-limits/none/max-queues', { value: 1 }],
    ['traces/none/t', { format: 'json', pattern: '#' }],
  ])('is refused: PUT %s', async (path, body) => {
    const headers = { 'content-type': 'application/json' }
    const answer = await api.put(`/api/${path}`, body, { headers })
    expect([answer.status, answer.body]).toEqual([404, { error: 'not_found', reason: 'vhost_not_found' }])
  })

  it('is refused to a binding, and what is asked for there is not found', async () => {
    const answer = await api.post('/api/bindings/none/e/a/q/b')
    expect([answer.status, answer.body]).toEqual([404, { error: 'not_found', reason: 'vhost_not_found' }])
    const read = await api.get('/api/queues/none')
    expect([read.status, read.body]).toEqual([404, { error: 'Object Not Found', reason: 'Not Found' }])
  })
})

describe('the deletion of many users', () => {
  it('is refused when one of them is unknown, and then deletes none', async () => {
    await api.put('/api/users/known', { tags: '' })
    const answer = await api.post('/api/users/bulk-delete', { users: ['known', 'unknown'] })
    expect([answer.status, answer.body]).toEqual([400, { error: 'bad_request', reason: ['no_such_user', 'unknown'] }])
    expect((await api.get('/api/users/known')).status).toBe(200)
    expect((await api.post('/api/users/bulk-delete', { users: ['known'] })).status).toBe(204)
    expect((await api.get('/api/users/known')).status).toBe(404)
  })
})

describe('getting messages', () => {
  it.each([-1, 0])('gets none when %i are asked for', async (count) => {
    await api.put('/api/queues/%2F/q')
    const message = { properties: {}, routing_key: 'q', payload: 'x', payload_encoding: 'string' }
    await api.post('/api/exchanges/%2F/amq.default/publish', message)
    const answer = await api.post('/api/queues/%2F/q/get', { count, ackmode: 'ack_requeue_false', encoding: 'auto' })
    expect([answer.status, answer.body]).toEqual([200, []])
  })
})
