// The calls that RabbitMQ's tools make, in the order in which they build on one another.
import { describe, expect, it } from 'vitest'
import { items, useApi } from '../support/api.ts'

const api = useApi()
const M = { user: 'm', password: 'test12' }
const ALL = { configure: '.*', write: '.*', read: '.*' }

/** The statuses of some calls, one after the other. */
async function statuses(...calls: readonly (() => Promise<{ readonly status: number }>)[]): Promise<number[]> {
  const answers: number[] = []
  for (const call of calls) answers.push((await call()).status)
  return answers
}

describe('the HTTP API', () => {
  it('shows the overview', async () => {
    const { status, body } = await api.get('/api/overview')
    expect(status).toBe(200)
    expect(body).toMatchObject({
      rabbitmq_version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      cluster_name: expect.any(String),
      node: expect.stringContaining('@'),
      object_totals: { queues: 0, exchanges: 9 },
      listeners: [{ protocol: 'amqp' }, { protocol: 'http', port: api.port }, { protocol: 'http/prometheus' }],
    })
    expect(items(body['exchange_types']).length).toBeGreaterThanOrEqual(4)
  })

  it('says who one is', async () => {
    const { body } = await api.get('/api/whoami')
    expect(body).toEqual({ name: 'guest', tags: ['administrator'], is_internal_user: true })
  })

  it('makes a vhost, updates it, and lets its maker in', async () => {
    const body = { description: 'd', tags: 'a,b' }
    expect(
      await statuses(
        () => api.put('/api/vhosts/t8', body),
        () => api.put('/api/vhosts/t8', body),
      ),
    ).toEqual([201, 204])
    expect((await api.get('/api/permissions/t8/guest')).status).toBe(200)
    expect((await api.get('/api/vhosts/t8')).body).toMatchObject({
      name: 't8',
      description: 'd',
      tags: ['a', 'b'],
      metadata: { description: 'd', tags: ['a', 'b'] },
      tracing: false,
      cluster_state: expect.any(Object),
    })
  })

  it('knows no vhost that is not there, and none of an empty queue type', async () => {
    const missing = await api.get('/api/vhosts/none')
    expect(missing.status).toBe(404)
    expect(missing.body).toEqual({ error: 'Object Not Found', reason: 'Not Found' })
    expect((await api.delete('/api/vhosts/none')).status).toBe(404)
    const bad = await api.put('/api/vhosts/bad', { default_queue_type: '' })
    expect([bad.status, bad.body['error']]).toEqual([400, 'bad_request'])
    expect((await api.get('/api/vhosts/bad')).status).toBe(404)
  })

  it('asks for credentials', async () => {
    const none = await api.get('/api/overview', { user: '' })
    expect(none.status).toBe(401)
    expect(none.headers.get('www-authenticate')).toBe('Basic realm="RabbitMQ Management"')
    expect(none.body).toBe('')
    const wrong = await api.get('/api/overview', { user: 'guest', password: 'wrong' })
    expect(wrong.status).toBe(401)
    expect(wrong.body).toEqual({ error: 'not_authorized', reason: 'Not_Authorized' })
  })

  it('refuses a user without tags, and tells them no realm', async () => {
    expect((await api.put('/api/users/u', { password: 'p', tags: '' })).status).toBe(201)
    const { status, body, headers } = await api.get('/api/overview', { user: 'u', password: 'p' })
    expect(status).toBe(401)
    expect(body).toEqual({ error: 'not_authorised', reason: 'Not management user' })
    expect(headers.get('www-authenticate')).toBeNull()
  })

  it('wants tags of a user, and one way to give the password', async () => {
    expect((await api.put('/api/users/u2', { password: 'p' })).body['reason']).toBe('tags_not_present')
    expect((await api.put('/api/users/u2', { password: 'p', password_hash: 'x', tags: '' })).status).toBe(400)
    expect((await api.put('/api/users/u2', { password_hash: 'x%', tags: '' })).body['reason']).toEqual([
      'not_base64',
      'x%',
    ])
  })

  it("takes a hash of RabbitMQ's", async () => {
    const password_hash = 'kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR'
    expect((await api.put('/api/users/m', { password_hash, tags: 'management' })).status).toBe(201)
    expect((await api.get('/api/whoami', M)).body['tags']).toEqual(['management'])
  })

  it('keeps nodes and users from who only manages, and hides vhosts', async () => {
    expect((await api.get('/api/nodes', M)).body).toEqual({ error: 'not_authorised', reason: 'Not monitor user' })
    expect((await api.get('/api/users', M)).body['reason']).toBe('Not administrator user')
    expect((await api.get('/api/queues/%2F', M)).status).toBe(404)
  })

  it('gives permissions', async () => {
    expect((await api.put('/api/permissions/t8/m', ALL)).status).toBe(201)
    expect((await api.put('/api/permissions/t8/m', ALL)).status).toBe(204)
    expect((await api.get('/api/permissions/t8/m')).body).toEqual({ user: 'm', vhost: 't8', ...ALL })
    for (const path of ['none/m', 't8/none']) expect((await api.put(`/api/permissions/${path}`, ALL)).status).toBe(400)
    expect((await api.put('/api/permissions/t8/m', { ...ALL, configure: '[' })).status).toBe(400)
    expect((await api.put('/api/permissions/t8/m', { configure: '' })).body['reason']).toBe(
      '[{key_missing,write},{key_missing,read}]',
    )
  })

  it('declares exchanges', async () => {
    const path = '/api/exchanges/t8/x'
    expect(
      await statuses(
        () => api.put(path),
        () => api.put(path),
      ),
    ).toEqual([201, 204])
    expect((await api.get(path)).body).toMatchObject({
      type: 'direct',
      durable: false,
      auto_delete: false,
      internal: false,
      arguments: {},
    })
    for (const body of [{ durable: true }, { type: 'nope' }, { durable: 'troo' }]) {
      const { status, body: answer } = await api.put(path, body)
      expect([status, answer['error']]).toEqual([400, 'bad_request'])
    }
    expect((await api.put('/api/exchanges/none/x', { type: 'direct' })).status).toBe(404)
    const reserved = await api.put('/api/exchanges/t8/amq.mine', { type: 'direct' })
    expect([reserved.status, reserved.body]).toEqual([401, { error: 'not_authorised', reason: 'Access refused.' }])
    expect((await api.put('/api/exchanges/t8/amq.direct', { durable: true })).status).toBe(204)
  })

  it('declares queues', async () => {
    const body = { durable: true, arguments: { 'x-message-ttl': 60_000 } }
    expect(
      await statuses(
        () => api.put('/api/queues/t8/q', body),
        () => api.put('/api/queues/t8/q', body),
      ),
    ).toEqual([201, 204])
    expect((await api.get('/api/queues/t8/q')).body).toMatchObject({
      type: 'classic',
      arguments: { 'x-message-ttl': 60_000, 'x-queue-type': 'classic' },
      state: 'running',
      exclusive: false,
    })
    const other = await api.put('/api/queues/t8/q', { durable: true })
    expect(other.status).toBe(400)
    expect(other.body['reason']).toContain("inequivalent arg 'x-message-ttl'")
  })

  it('binds, and finds a binding by its key', async () => {
    const path = '/api/bindings/t8/e/x/q/q'
    const first = await api.post(path)
    expect([first.status, first.headers.get('location')]).toEqual([201, 'q/~'])
    expect((await api.post(path, { routing_key: '*.error' })).status).toBe(201)
    const both = (await api.get(path)).body
    expect(items(both).map((binding) => binding['properties_key'])).toEqual(['~', '%2A.error'])
    expect((await api.get(`${path}/%252A.error`)).status).toBe(200)
    expect((await api.delete(`${path}/%252A.error`)).status).toBe(204)
    expect((await api.post('/api/bindings/t8/e/x/q/none')).status).toBe(404)
    expect((await api.post('/api/bindings/t8/e/none/q/q')).status).toBe(404)
  })

  it('tells bindings apart by their arguments', async () => {
    const { headers } = await api.post('/api/bindings/t8/e/x/q/q', { routing_key: 'k', arguments: { a: 'b' } })
    const location = `/api/bindings/t8/e/x/q/${headers.get('location')}`
    const { status, body } = await api.get(location)
    expect(status).toBe(200)
    expect(body['properties_key']).toMatch(/^k~/)
    expect(body['arguments']).toEqual({ a: 'b' })
    expect((await api.get(`${location}x`)).status).toBe(404)
  })

  it('shows the binding to the default exchange that every queue has, and does not delete it', async () => {
    const { body } = await api.get('/api/queues/t8/q/bindings')
    expect(body[0]).toMatchObject({ source: '', routing_key: 'q', properties_key: 'q' })
    expect((await api.delete('/api/bindings/t8/e/amq.default/q/q/q')).status).toBe(401)
  })

  it('publishes', async () => {
    const path = '/api/exchanges/t8/amq.default/publish'
    const message = {
      properties: { headers: { n: 1 } },
      routing_key: 'q',
      payload: 'hello',
      payload_encoding: 'string',
    }
    expect((await api.post(path, message)).body).toEqual({ routed: true })
    expect((await api.post(path, { ...message, routing_key: 'zz' })).body).toEqual({ routed: false })
    const { routing_key: _key, ...without } = message
    for (const body of [
      { ...message, properties: { priority: 'high' } },
      { ...message, properties: { expiration: 1234 } },
      { ...message, properties: { expiration: 'soon' } },
      { ...message, properties: { headers: { n: null } } },
      { ...message, payload: ['x'] },
      { ...message, payload_encoding: 'hex' },
      without,
    ]) {
      expect((await api.post(path, body)).status).toBe(400)
    }
    const reason = async (properties: object): Promise<unknown> =>
      (await api.post(path, { ...message, properties })).body['reason']
    expect(await reason({ expiration: 'x' })).toBe("406 PRECONDITION_FAILED - invalid expiration 'x': no_integer")
    expect(await reason({ delivery_mode: 3 })).toBe(
      '406 PRECONDITION_FAILED - invalid message: {delivery_mode_unknown,3}',
    )
  })

  it('tells what a queue refuses', async () => {
    const path = '/api/exchanges/t8/amq.default/publish'
    const full = { durable: true, arguments: { 'x-max-length': 0, 'x-overflow': 'reject-publish' } }
    await api.put('/api/queues/t8/full', full)
    const message = { properties: {}, routing_key: 'full', payload: 'm', payload_encoding: 'string' }
    const reason = 'rejected Unable to publish message. Check queue limits.'
    expect(await api.post(path, message)).toMatchObject({ status: 400, body: { error: 'bad_request', reason } })
    await api.delete('/api/queues/t8/full')
  })

  it('gets messages and puts them back, or takes them', async () => {
    const path = '/api/queues/t8/q/get'
    const peek = await api.post(path, { count: 5, ackmode: 'ack_requeue_true', encoding: 'auto', truncate: 2 })
    expect(peek.body).toEqual([
      {
        payload: 'he',
        payload_bytes: 5,
        payload_encoding: 'string',
        redelivered: false,
        exchange: '',
        routing_key: 'q',
        message_count: 0,
        properties: { headers: { n: 1 } },
      },
    ])
    const take = { count: 1, ackmode: 'ack_requeue_false', encoding: 'base64' }
    expect((await api.post(path, take)).body[0]).toMatchObject({
      redelivered: true,
      payload: 'aGVsbG8=',
      payload_encoding: 'base64',
    })
    expect((await api.post(path, take)).body).toEqual([])
    expect((await api.post(path, { ...take, ackmode: 'get' })).body['reason']).toContain('reject_requeue_false')
    expect((await api.post(path, { ...take, encoding: 'hex' })).status).toBe(400)
    const none = await api.post('/api/queues/t8/none/get', take)
    expect([none.status, none.body['reason']]).toEqual([404, 'queue_not_found'])
  })

  it('deletes a queue only when it is empty, if asked to', async () => {
    const message = { properties: {}, routing_key: 'q', payload: '', payload_encoding: 'string' }
    const queue = '/api/queues/t8/q'
    expect(
      await statuses(
        () => api.post('/api/exchanges/t8/amq.default/publish', message),
        () => api.delete(`${queue}?if-empty=true`),
        () => api.delete(`${queue}/contents`),
        () => api.delete(`${queue}?if-empty=true`),
        () => api.delete(queue),
      ),
    ).toEqual([200, 400, 204, 204, 404])
  })

  it('pages, filters and sorts', async () => {
    for (const name of ['a0', 'a1', 'b2']) await api.put(`/api/queues/t8/${name}`, { durable: true })
    const { body } = await api.get('/api/queues/t8?page=1&page_size=2&name=A&sort=name&sort_reverse=true')
    expect(body).toMatchObject({
      total_count: 3,
      filtered_count: 2,
      item_count: 2,
      page_count: 1,
      page: 1,
      page_size: 2,
      items: [{ name: 'a1' }, { name: 'a0' }],
    })
    const expression = await api.get('/api/queues/t8?page=1&use_regex=true&name=%5EA%5B1-9%5D')
    expect(items(expression.body['items']).map((queue) => queue['name'])).toEqual(['a1'])
    expect((await api.get('/api/queues/t8?page=1000')).body['error']).toBe('page_out_of_range')
    expect((await api.get('/api/queues/t8?page=0')).body['error']).toBe('invalid_pagination_parameters')
    for (const query of ['page=x', 'page=1&page_size=501', 'page=1&use_regex=true&name=(']) {
      expect((await api.get(`/api/queues?${query}`)).status).toBe(400)
    }
    expect((await api.get('/api/queues/t8?page=1&name=nothing')).body).toMatchObject({ page_count: 0, items: [] })
  })

  it('publishes by the further routing keys of a message, of which BCC is told to nobody', async () => {
    for (const name of ['cc', 'bcc']) await api.put(`/api/queues/%2F/${name}`)
    const message = { routing_key: 'none', payload: 'm', payload_encoding: 'string' }
    const publish = (headers: object) =>
      api.post('/api/exchanges/%2F/amq.default/publish', { ...message, properties: { headers } })
    expect((await publish({ CC: ['cc'], BCC: ['bcc'] })).body).toEqual({ routed: true })
    for (const name of ['cc', 'bcc']) {
      const got = { ackmode: 'ack_requeue_false', count: 2, encoding: 'auto' }
      const { body } = await api.post(`/api/queues/%2F/${name}/get`, got)
      expect(body).toMatchObject([{ payload: 'm', properties: { headers: { CC: ['cc'] } } }])
      expect(body[0]!['properties']!['headers']).not.toHaveProperty('BCC')
      await api.delete(`/api/queues/%2F/${name}`)
    }
    const refused = await publish({ BCC: 'bcc' })
    expect([refused.status, refused.body['reason']]).toEqual([400, expect.stringContaining('406 PRECONDITION_FAILED')])
  })

  it('cuts to columns', async () => {
    const { body } = await api.get('/api/queues?columns=name,message_stats.publish_details.rate')
    expect(body[0]).toEqual({ name: 'a0' })
  })

  it('exports definitions and takes them back', async () => {
    const { status, body } = await api.get('/api/definitions')
    expect(status).toBe(200)
    expect(body).toMatchObject({
      users: expect.arrayContaining([expect.objectContaining({ name: 'm', password_hash: expect.any(String) })]),
      vhosts: expect.any(Array),
      permissions: expect.any(Array),
      queues: expect.arrayContaining([expect.objectContaining({ name: 'a0', vhost: 't8' })]),
    })
    expect((await api.post('/api/definitions', body)).status).toBe(204)
    expect((await api.get('/api/definitions')).body).toEqual(body)
    expect((await api.post('/api/definitions/none')).status).toBe(404)
    expect((await api.get('/api/definitions/none')).status).toBe(400)
  })

  it('answers health checks', async () => {
    expect((await api.get('/api/health/checks/alarms')).body).toEqual({ status: 'ok' })
    const port = await api.get('/api/health/checks/port-listener/1')
    expect([port.status, port.body['status'], port.body['missing']]).toEqual([503, 'failed', 1])
    expect((await api.get('/api/health/checks/port-listener/x')).status).toBe(400)
    expect((await api.get('/api/health/checks/ready-to-serve-clients', { user: '' })).status).toBe(200)
    expect((await api.get('/api/aliveness-test/%2F')).body).toEqual({ status: 'ok' })
  })

  it('answers OPTIONS without credentials, and deletes what was made', async () => {
    expect((await api.call('OPTIONS', '/api/queues', { user: '' })).status).toBe(200)
    const unknown = await api.call('OPTIONS', '/api/nothing', { user: '' })
    expect([unknown.status, unknown.headers.get('allow')]).toEqual([200, 'GET, HEAD, OPTIONS'])
    expect((await api.call('PATCH', '/api/queues')).status).toBe(405)
    expect(
      await statuses(
        () => api.delete('/api/connections/none'),
        () => api.post('/api/users/bulk-delete', { users: ['u', 'm'] }),
        () => api.delete('/api/vhosts/t8'),
        () => api.get('/api/vhosts/t8'),
        () => api.get('/api/users/m'),
      ),
    ).toEqual([404, 204, 204, 404, 404])
  })

  it('deletes no vhost that is protected', async () => {
    await api.put('/api/vhosts/kept')
    await api.post('/api/vhosts/kept/deletion/protection')
    expect((await api.delete('/api/vhosts/kept')).status).toBe(412)
    await api.delete('/api/vhosts/kept/deletion/protection')
    expect((await api.delete('/api/vhosts/kept')).status).toBe(204)
  })
})
