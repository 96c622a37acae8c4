// Policies, operator policies, parameters and limits over HTTP.
import { beforeAll, describe, expect, it } from 'vitest'
import { items, useApi, word } from '../support/api.ts'

const api = useApi()

beforeAll(async () => {
  await api.put('/api/users/pol', { password: 'pol', tags: 'policymaker' })
  await api.put('/api/users/man', { password: 'man', tags: 'management' })
  await api.put('/api/permissions/%2F/pol', { configure: '', write: '', read: '' })
})

describe('policies', () => {
  it('are made, replaced, shown and deleted', async () => {
    const policy = { pattern: '^a', definition: { 'max-length': 10 } }
    expect((await api.put('/api/policies/%2F/p', policy)).status).toBe(201)
    expect((await api.put('/api/policies/%2F/p', { ...policy, priority: 5, 'apply-to': 'queues' })).status).toBe(204)
    const shown = { vhost: '/', name: 'p', ...policy, priority: 5, 'apply-to': 'queues' }
    expect((await api.get('/api/policies/%2F/p')).body).toEqual(shown)
    expect((await api.get('/api/policies/%2F')).body).toEqual([shown])
    expect((await api.get('/api/policies')).body).toEqual([shown])
    expect((await api.delete('/api/policies/%2F/p')).status).toBe(204)
    expect((await api.delete('/api/policies/%2F/p')).status).toBe(404)
    expect((await api.get('/api/policies/%2F/p')).status).toBe(404)
    expect((await api.get('/api/policies/none')).status).toBe(404)
  })

  it('hold for everything that exists once the answer is there, however much that is', async () => {
    await api.put('/api/vhosts/many', {})
    const plain = { durable: true, auto_delete: false, arguments: {} }
    const queues = Array.from({ length: 1000 }, (_, i) => ({ name: `q${i}`, ...plain }))
    expect((await api.post('/api/definitions/many', { queues })).status).toBe(204)
    const lengths = async (): Promise<Set<unknown>> => {
      const { body } = await api.get('/api/queues/many?columns=effective_policy_definition')
      return new Set(items(body).map((queue) => queue['effective_policy_definition']!['max-length']))
    }
    await api.put('/api/policies/many/p', { pattern: '', definition: { 'max-length': 10 } })
    expect(await lengths()).toEqual(new Set([10]))
    const operator = { pattern: '', definition: { 'max-length': 5 }, priority: 0 }
    await api.put('/api/parameters/operator_policy/many/o', { value: operator })
    expect(await lengths()).toEqual(new Set([5]))
    await api.delete('/api/parameters/operator_policy/many/o')
    expect(await lengths()).toEqual(new Set([10]))
    await api.post('/api/definitions/many', {
      policies: [{ name: 'p', pattern: '', definition: { 'max-length': 20 }, priority: 0, 'apply-to': 'all' }],
    })
    expect(await lengths()).toEqual(new Set([20]))
    await api.delete('/api/policies/many/p')
    expect(await lengths()).toEqual(new Set([undefined]))
    await api.delete('/api/vhosts/many')
  })

  it('apply to all and have no priority unless they say so', async () => {
    await api.put('/api/policies/%2F/plain', { pattern: 'x', definition: { expires: 1000 } })
    expect((await api.get('/api/policies/%2F/plain')).body).toMatchObject({ 'apply-to': 'all', priority: 0 })
    await api.delete('/api/policies/%2F/plain')
  })

  it.each<[string, object, string]>([
    ['a pattern that is none', { pattern: '[', definition: { expires: 1 } }, 'pattern should be'],
    ['a pattern of another type', { pattern: 5, definition: { expires: 1 } }, 'pattern should be'],
    ['no pattern', { definition: { expires: 1 } }, '[{key_missing,pattern}]'],
    ['nothing', {}, '[{key_missing,pattern},{key_missing,definition}]'],
    ['no values', { pattern: 'a', definition: {} }, 'no policy provided'],
    ['a definition that is a list', { pattern: 'a', definition: [] }, 'definition should be an object'],
    ['a definition that is a text', { pattern: 'a', definition: '{}' }, 'definition should be an object'],
    ['an unknown key', { pattern: 'a', definition: { 'max-lengthy': 1 } }, 'are not recognised policy settings'],
    ['a value of another type', { pattern: 'a', definition: { 'max-length': 'x' } }, 'is not a valid maximum length'],
    ['no value', { pattern: 'a', definition: { 'max-length': null } }, 'null is not a valid maximum length'],
    ['a value that is a list', { pattern: 'a', definition: { 'max-length': [1, 'a'] } }, '[1,<<"a">>] is not a valid'],
    ['a value that is empty', { pattern: 'a', definition: { 'max-length': {} } }, '#{} is not a valid maximum length'],
    [
      'a value that is an object',
      { pattern: 'a', definition: { expires: { a: null } } },
      '#{<<"a">> => null} is not a valid queue expiry',
    ],
    ['an object for what has no effect', { pattern: 'a', definition: { 'ha-params': {} } }, '#{} is not a valid value'],
    ['a priority in words', { pattern: 'a', definition: { expires: 1 }, priority: '5' }, 'priority should be a number'],
    ['something else to apply to', { pattern: 'a', definition: { expires: 1 }, 'apply-to': 'foo' }, 'apply-to'],
  ])('are refused with %s', async (_what, body, reason) => {
    const { status, body: answer } = await api.put('/api/policies/%2F/bad', body)
    expect([status, answer['error']]).toEqual([400, 'bad_request'])
    expect(word(answer['reason'])).toContain(reason)
    expect((await api.get('/api/policies/%2F/bad')).status).toBe(404)
  })

  it('take effect at once, and queues and exchanges name them', async () => {
    await api.put('/api/queues/%2F/governed', { durable: true })
    await api.put('/api/exchanges/%2F/governed', { durable: true })
    await api.put('/api/policies/%2F/q', { pattern: '^gov', definition: { 'max-length': 10 }, 'apply-to': 'queues' })
    await api.put('/api/policies/%2F/x', {
      pattern: '^gov',
      definition: { 'alternate-exchange': 'amq.fanout' },
      'apply-to': 'exchanges',
    })
    await api.put('/api/operator-policies/%2F/o', { pattern: '^gov', definition: { 'max-length': 5 } })
    const queue = (await api.get('/api/queues/%2F/governed')).body
    expect(queue).toMatchObject({
      policy: 'q',
      operator_policy: 'o',
      effective_policy_definition: { 'max-length': 5 },
    })
    expect((await api.get('/api/exchanges/%2F/governed')).body).toMatchObject({ policy: 'x' })
    for (const path of ['policies/%2F/q', 'policies/%2F/x', 'operator-policies/%2F/o']) await api.delete(`/api/${path}`)
    const free = (await api.get('/api/queues/%2F/governed')).body
    expect(free).toMatchObject({ policy: null, operator_policy: null, effective_policy_definition: {} })
  })

  it('of operators may only limit, and only administrators make them', async () => {
    const deadLetters = { pattern: '', definition: { 'dead-letter-exchange': 'x' } }
    expect((await api.put('/api/operator-policies/%2F/o', deadLetters)).status).toBe(400)
    const limit = { pattern: '', definition: { expires: 1000 }, 'apply-to': 'queues' }
    expect((await api.put('/api/operator-policies/%2F/o', limit, { user: 'pol' })).status).toBe(401)
    expect((await api.put('/api/operator-policies/%2F/o', limit)).status).toBe(201)
    const shown = { vhost: '/', name: 'o', ...limit, priority: 0 }
    expect((await api.get('/api/operator-policies', { user: 'pol' })).body).toEqual([shown])
    expect((await api.get('/api/operator-policies/%2F/o')).body).toEqual(shown)
    expect((await api.delete('/api/operator-policies/%2F/o')).status).toBe(204)
  })

  it('are hidden with the vhost that they are in', async () => {
    await api.put('/api/vhosts/far')
    await api.put('/api/policies/far/p', { pattern: '', definition: { expires: 1000 } })
    expect((await api.get('/api/policies/far', { user: 'pol' })).status).toBe(404)
    expect((await api.get('/api/policies/far/p', { user: 'pol' })).status).toBe(404)
    expect((await api.get('/api/policies', { user: 'pol' })).body).toEqual([])
    await api.delete('/api/vhosts/far')
    expect((await api.get('/api/policies')).body).toEqual([])
  })
})

describe('parameters', () => {
  const shovel = { value: { 'src-queue': 'a', 'dest-queue': 'b', 'src-uri': 'amqp://', 'dest-uri': 'amqp://' } }

  it('of shovels are kept, and it is said that nothing comes of them', async () => {
    const made = await api.put('/api/parameters/shovel/%2F/s', shovel)
    expect(made.status).toBe(201)
    expect(made.headers.get('warning')).toContain('runs neither shovels nor federation')
    expect((await api.put('/api/parameters/shovel/%2F/s', shovel)).status).toBe(204)
    const shown = { ...shovel, vhost: '/', component: 'shovel', name: 's' }
    expect((await api.get('/api/parameters/shovel/%2F/s')).body).toEqual(shown)
    for (const path of ['', '/shovel', '/shovel/%2F']) {
      expect((await api.get(`/api/parameters${path}`)).body).toEqual([shown])
    }
    expect((await api.get('/api/shovels')).body).toMatchObject([{ name: 's', vhost: '/', state: 'terminated' }])
    expect((await api.get('/api/shovels/vhost/%2F/s')).body).toMatchObject({ type: 'dynamic' })
    expect((await api.delete('/api/shovels/vhost/%2F/s/restart')).status).toBe(404)
    expect((await api.delete('/api/shovels/vhost/%2F/s')).status).toBe(204)
    expect((await api.delete('/api/parameters/shovel/%2F/s')).status).toBe(404)
  })

  it('of unknown components are refused', async () => {
    const unknown = await api.put('/api/parameters/nope/%2F/a', { value: {} })
    expect([unknown.status, unknown.body['reason']]).toEqual([400, 'Validation failed\n\ncomponent nope not found\n'])
    expect((await api.put('/api/parameters/shovel/%2F/a', {})).body['reason']).toBe('[{key_missing,value}]')
    expect((await api.put('/api/parameters/shovel/none/a', shovel)).status).toBe(404)
    expect((await api.get('/api/parameters/nope')).body).toEqual([])
    expect((await api.get('/api/parameters/nope/%2F')).body).toEqual([])
    expect((await api.get('/api/parameters/nope/%2F/a')).status).toBe(404)
    expect((await api.get('/api/parameters/shovel/none')).status).toBe(404)
  })

  const noSource = "Must specify 'src-exchange' or 'src-queue'"
  const lacks = (key: string): string => `Key "${key}" not found in a`

  it.each([
    ['shovel', {}, [noSource, lacks('dest-uri'), lacks('src-uri')]],
    ['shovel', [], [noSource, lacks('dest-uri'), lacks('src-uri')]],
    ['shovel', { 'src-uri': 'amqp://', 'dest-uri': 'amqp://' }, [noSource]],
    [
      'shovel',
      { ...shovel.value, 'src-exchange': 'e', 'dest-exchange': 'e' },
      ["Cannot specify 'src-exchange' and 'src-queue'", "Cannot specify 'dest-exchange' and 'dest-queue'"],
    ],
    [
      'shovel',
      { 'src-protocol': 'amqp10', 'dest-protocol': 'amqp10' },
      [lacks('dest-address'), lacks('dest-uri'), lacks('src-address'), lacks('src-uri')],
    ],
    ['federation-upstream', {}, [lacks('uri')]],
    ['federation-upstream', [], [lacks('uri')]],
    ['federation-upstream-set', [{}], [lacks('upstream')]],
    ['operator_policy', {}, [lacks('definition'), lacks('pattern'), lacks('priority')]],
    ['operator_policy', { pattern: 'x', definition: { expires: 1 } }, [lacks('priority')]],
  ])('of %s are refused with the value %j, in the words of RabbitMQ', async (component, value, faults) => {
    const { status, body } = await api.put(`/api/parameters/${component}/%2F/a`, { value })
    const reason = `Validation failed\n\n${faults.join('\n')}\n`
    expect([status, body]).toEqual([400, { error: 'bad_request', reason }])
  })

  it('show policies of operators and limits of vhosts, and set them for administrators', async () => {
    const value = { 'max-queues': 5 }
    const path = '/api/parameters/vhost-limits/%2F/limits'
    expect((await api.put(path, { value }, { user: 'pol' })).status).toBe(400)
    expect((await api.put(path, { value })).status).toBe(201)
    expect((await api.get('/api/vhost-limits/%2F')).body).toEqual([{ vhost: '/', value }])
    expect((await api.get('/api/parameters/vhost-limits')).body).toEqual([
      { value, vhost: '/', component: 'vhost-limits', name: 'limits' },
    ])
    expect((await api.delete(path)).status).toBe(204)
    expect((await api.get('/api/vhost-limits/%2F')).body).toEqual([])
    const policy = { pattern: 'x', definition: { expires: 1000 }, priority: 0, 'apply-to': 'queues' }
    expect((await api.put('/api/parameters/operator_policy/%2F/o', { value: policy })).status).toBe(201)
    expect((await api.get('/api/operator-policies/%2F/o')).body).toMatchObject(policy)
    expect((await api.delete('/api/parameters/operator_policy/%2F/o')).status).toBe(204)
    const sentence = 'policies may not be set using this method'
    expect((await api.put('/api/parameters/policy/%2F/o', { value: policy })).body['reason']).toBe(sentence)
  })

  it('that are global take any value', async () => {
    expect((await api.put('/api/global-parameters/g', { value: [1, { a: null }] })).status).toBe(201)
    expect((await api.put('/api/global-parameters/g', { value: 1 }, { user: 'pol' })).status).toBe(204)
    expect((await api.get('/api/global-parameters/g')).body).toEqual({ value: 1, name: 'g' })
    expect((await api.get('/api/global-parameters')).body).toEqual([{ value: 1, name: 'g' }])
    expect((await api.put('/api/global-parameters/h', {})).body['reason']).toBe('[{key_missing,value}]')
    expect((await api.delete('/api/global-parameters/g')).status).toBe(204)
    expect((await api.delete('/api/global-parameters/g')).status).toBe(404)
    expect((await api.get('/api/global-parameters/g')).status).toBe(404)
  })
})

describe('the name of the cluster', () => {
  it('is shown, and changed by administrators', async () => {
    expect(word((await api.get('/api/cluster-name')).body['name'])).toMatch(/@/)
    expect((await api.put('/api/cluster-name/', { name: 'north' }, { user: 'pol' })).status).toBe(401)
    expect((await api.put('/api/cluster-name/', { name: 'north' })).status).toBe(204)
    expect((await api.get('/api/cluster-name')).body).toEqual({ name: 'north' })
    expect((await api.get('/api/overview')).body['cluster_name']).toBe('north')
    expect((await api.get('/api/global-parameters')).body).toEqual([{ value: 'north', name: 'cluster_name' }])
  })

  it.each([[{}], [{ name: 3 }], [{ name: '' }], [{ name: null }]])('is not %j', async (body) => {
    expect((await api.put('/api/cluster-name', body)).status).toBe(400)
  })
})

describe('limits', () => {
  const json = { headers: { 'content-type': 'application/json' } }

  it('of a vhost are set one by one, and taken away', async () => {
    expect((await api.get('/api/vhost-limits')).body).toEqual([])
    expect((await api.put('/api/vhost-limits/%2F/max-queues', { value: 10 }, json)).status).toBe(204)
    expect((await api.put('/api/vhost-limits/%2F/max-connections', { value: -1 })).status).toBe(204)
    const shown = [{ vhost: '/', value: { 'max-queues': 10, 'max-connections': -1 } }]
    expect((await api.get('/api/vhost-limits/%2F', { user: 'pol' })).body).toEqual(shown)
    expect((await api.get('/api/vhost-limits', { user: 'man' })).body).toEqual([])
    expect((await api.delete('/api/vhost-limits/%2F/max-queues')).status).toBe(204)
    expect((await api.delete('/api/vhost-limits/%2F/max-queues')).status).toBe(204)
    expect((await api.delete('/api/vhost-limits/%2F/max-connections')).status).toBe(204)
    expect((await api.get('/api/vhost-limits/%2F')).body).toEqual([])
  })

  it('of a vhost are refused when there are none such', async () => {
    const refusals = [
      ['/api/vhost-limits/%2F/max-queues', { value: 'x' }, 400],
      ['/api/vhost-limits/%2F/max-queues', { value: 1.5 }, 400],
      ['/api/vhost-limits/%2F/max-queues', {}, 400],
      ['/api/vhost-limits/%2F/max-channels', { value: 10 }, 400],
      ['/api/vhost-limits/%2F/__proto__', { value: 10 }, 400],
      ['/api/vhost-limits/none/max-queues', { value: 10 }, 404],
    ] as const
    for (const [path, body, expected] of refusals) {
      expect([path, body, (await api.put(path, body)).status]).toEqual([path, body, expected])
    }
    const form = { headers: { 'content-type': 'application/x-www-form-urlencoded' } }
    expect((await api.put('/api/vhost-limits/%2F/max-queues', { value: 1 }, form)).status).toBe(415)
    expect((await api.get('/api/vhost-limits/none')).status).toBe(404)
  })

  it('hold', async () => {
    await api.put('/api/vhosts/small')
    await api.put('/api/vhost-limits/small/max-queues', { value: 1 })
    expect((await api.put('/api/queues/small/a')).status).toBe(201)
    const { status, body } = await api.put('/api/queues/small/b')
    expect([status, word(body['reason'])]).toEqual([400, expect.stringContaining('queue limit')])
    await api.delete('/api/vhosts/small')
    expect((await api.get('/api/vhost-limits')).body).toEqual([])
  })

  it('of a user are set, and seen by that user', async () => {
    expect((await api.put('/api/user-limits/man/max-channels', { value: 10 }, json)).status).toBe(204)
    const shown = [{ user: 'man', value: { 'max-channels': 10 } }]
    expect((await api.get('/api/user-limits')).body).toEqual(shown)
    expect((await api.get('/api/user-limits/man', { user: 'man' })).body).toEqual(shown)
    expect((await api.get('/api/user-limits/man', { user: 'pol' })).status).toBe(401)
    expect((await api.get('/api/users/man')).body['limits']).toEqual({ 'max-channels': 10 })
    expect((await api.put('/api/user-limits/man/max-queues', { value: 10 })).status).toBe(400)
    expect((await api.put('/api/user-limits/none/max-channels', { value: 10 })).status).toBe(404)
    expect((await api.delete('/api/user-limits/none/max-channels')).status).toBe(404)
    expect((await api.delete('/api/user-limits/man/max-channels')).status).toBe(204)
    expect((await api.get('/api/user-limits/man')).body).toEqual([])
    await api.put('/api/users/man', { password: 'man', tags: 'management', limits: { 'max-connections': 3 } })
    expect((await api.get('/api/user-limits/man')).body).toEqual([{ user: 'man', value: { 'max-connections': 3 } }])
  })
})

describe('topic permissions', () => {
  const rights = { exchange: 'amq.topic', write: '^a', read: '.*' }
  const path = '/api/topic-permissions/%2F/man'

  it('are made, replaced, shown and deleted', async () => {
    expect((await api.put(path, rights)).status).toBe(201)
    expect((await api.put(path, rights)).status).toBe(204)
    expect((await api.put(path, { ...rights, exchange: 'other' })).status).toBe(201)
    const shown = [rights, { ...rights, exchange: 'other' }].map((one) => ({ user: 'man', vhost: '/', ...one }))
    for (const list of [
      path,
      '/api/topic-permissions/',
      '/api/users/man/topic-permissions',
      '/api/vhosts/%2F/topic-permissions',
    ]) {
      expect((await api.get(list)).body).toEqual(shown)
    }
    expect((await api.delete(`${path}/zz`)).status).toBe(204)
    expect((await api.delete(`${path}/other`)).status).toBe(204)
    expect((await api.get(path)).body).toEqual(shown.slice(0, 1))
    expect((await api.delete(path)).status).toBe(204)
    expect((await api.delete(path)).status).toBe(404)
    expect((await api.get(path)).status).toBe(404)
  })

  it.each<[string, string, object]>([
    ['an unknown user', '/api/topic-permissions/%2F/none', rights],
    ['an unknown vhost', '/api/topic-permissions/none/man', rights],
    ['a pattern that is none', path, { ...rights, read: '[' }],
    ['no exchange', path, { write: '', read: '' }],
    ['an exchange of another type', path, { ...rights, exchange: 5 }],
  ])('are refused with %s', async (_what, where, body) => {
    expect((await api.put(where, body)).status).toBe(400)
  })
})

describe('the list of parameters', () => {
  it('has what RabbitMQ keeps as parameters', async () => {
    await api.put('/api/operator-policies/%2F/o', { pattern: '', definition: { expires: 1000 } })
    const components = items((await api.get('/api/parameters')).body).map((one) => one['component'])
    expect(components).toEqual(['operator_policy'])
  })
})
