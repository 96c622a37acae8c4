// Logging in, and how often it was tried.
import { connect } from 'amqplib'
import { describe, expect, it } from 'vitest'
import { items, useApi, word } from '../support/api.ts'

const api = useApi()
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

async function node(): Promise<string> {
  return word((await api.get('/api/overview')).body['node'])
}

describe('a login by form', () => {
  it('answers what to send from then on', async () => {
    const raw = 'username=guest&password=guest'
    const { status, body } = await api.call('POST', '/api/login', { user: '', raw, headers: FORM })
    expect(status).toBe(200)
    expect(body).toMatchObject({ token: { type: 'basic' }, user: { name: 'guest', tags: ['administrator'] } })
    const value = Buffer.from(word(body['token']!['value']), 'base64').toString()
    expect(value).toBe('guest:guest')
  })

  it.each(['username=guest&password=wrong', 'username=guest', '', '%%%=&password'])(
    'is refused with %j',
    async (raw) => {
      const { status, body } = await api.call('POST', '/api/login', { user: '', raw, headers: FORM })
      expect([status, body['error']]).toEqual([401, 'not_authorized'])
    },
  )

  it('takes nothing but a form', async () => {
    const headers = { 'content-type': 'application/json' }
    expect((await api.call('POST', '/api/login', { user: '', raw: '{}', headers })).status).toBe(415)
  })

  it('ends without anything to forget', async () => {
    expect((await api.delete('/api/login')).status).toBe(204)
  })
})

describe('attempts to log in', () => {
  it('are counted by protocol and by source', async () => {
    const path = `/api/auth/attempts/${await node()}`
    await api.delete(path)
    await api.delete(`${path}/source`)
    await api.get('/api/whoami', { user: 'guest', password: 'wrong' })
    const connection = await connect(api.amqp)
    await connection.close()
    await expect(connect(api.amqp.replace('guest:guest', 'eve:x'))).rejects.toThrow(/403|ACCESS/i)
    const all = items((await api.get(path)).body)
    expect(all).toContainEqual({
      protocol: 'amqp091',
      auth_attempts: 2,
      auth_attempts_failed: 1,
      auth_attempts_succeeded: 1,
    })
    expect(all.find((one) => one['protocol'] === ('http' as never))).toMatchObject({ auth_attempts_failed: 1 })
    expect((await api.get(`${path}/source`)).body).toContainEqual({
      protocol: 'amqp091',
      remote_address: '127.0.0.1',
      username: 'eve',
      auth_attempts: 1,
      auth_attempts_failed: 1,
      auth_attempts_succeeded: 0,
    })
    await api.delete(path)
    expect(items((await api.get(path)).body)).toMatchObject([{ protocol: 'http', auth_attempts: 1 }])
    expect((await api.get('/api/auth/attempts/none')).status).toBe(404)
  })
})

describe('what belongs to a user', () => {
  it('are the queues that they made', async () => {
    await api.put('/api/queues/%2F/mine', { durable: true })
    const names = items((await api.get('/api/users/guest/queues')).body).map((queue) => queue['name'])
    expect(names).toEqual(['mine'])
    expect((await api.get('/api/users/nobody/queues')).body).toEqual([])
  })

  it('are the exchanges that name them', async () => {
    await api.put('/api/exchanges/%2F/mine', { type: 'topic' })
    const makers = items((await api.get('/api/exchanges/%2F')).body).map(
      ({ name, user_who_performed_action: maker }) => [name, maker],
    )
    expect(makers).toContainEqual(['mine', 'guest'])
    expect(makers).toContainEqual(['amq.topic', 'rmq-internal'])
  })

  it('are the exchanges that they imported', async () => {
    const exchanges = [{ vhost: '/', name: 'brought', type: 'topic', internal: true }]
    expect((await api.post('/api/definitions', { exchanges })).status).toBe(204)
    const shown = (await api.get('/api/exchanges/%2F/brought')).body
    expect(shown).toMatchObject({ user_who_performed_action: 'guest', internal: true })
  })
})

describe('what is asked of a whole cluster', () => {
  it('is answered for this node', async () => {
    expect((await api.delete('/api/reset')).status).toBe(204)
    expect((await api.delete(`/api/reset/${await node()}`)).status).toBe(204)
    expect((await api.delete('/api/reset/none')).status).toBe(404)
    expect((await api.get('/api/federation-links/state/down/')).body).toEqual([])
    expect((await api.get('/api/federation-links/none')).status).toBe(404)
    for (const what of ['connections', 'publishers', 'consumers']) {
      expect((await api.get(`/api/stream/${what}`)).body).toEqual([])
      expect((await api.get(`/api/stream/${what}/%2F`)).body).toEqual([])
      expect((await api.get(`/api/stream/${what}/none`)).status).toBe(404)
    }
    const effective = await api.get('/api/config/effective')
    expect([effective.status, effective.headers.get('content-type')]).toEqual([200, 'text/plain'])
  })
})
