// What the settings say of the first user, and of the broker's name.
import { afterEach, beforeEach, expect, it } from 'vitest'
import { startServer } from '../../src/server.ts'
import { Api } from '../support/api.ts'
import { RawClient } from '../support/raw-client.ts'

let api: Api

beforeEach(async () => {
  api = new Api()
  const host = '127.0.0.1'
  api.server = await startServer({
    host,
    managementHost: host,
    managementPort: 0,
    clock: api.clock,
    clusterName: 'warren',
    defaultUserTags: ['administrator', 'warden'],
    authMechanisms: ['AMQPLAIN'],
    limits: { connections: 9, channels: 9, vhosts: 2, queues: 9, exchanges: 99, consumers: 9 },
    defaultPermissions: { configure: '^guest', write: '.*', read: '^$' },
  })
})
afterEach(() => api.stop())

it('gives the first user the permissions of the settings', async () => {
  expect((await api.get('/api/permissions')).body).toEqual([
    { user: 'guest', vhost: '/', configure: '^guest', write: '.*', read: '^$' },
  ])
  expect((await api.put('/api/queues/%2F/other')).status).toBe(401)
  expect((await api.put('/api/queues/%2F/guest-1')).status).toBe(201)
})

it('knows the broker by the name of the settings, until it is given another', async () => {
  expect((await api.get('/api/cluster-name')).body).toEqual({ name: 'warren' })
  await api.put('/api/cluster-name', { name: 'burrow' })
  expect((await api.get('/api/overview')).body['cluster_name']).toBe('burrow')
})

it('gives the first user the tags of the settings', async () => {
  expect((await api.get('/api/users/guest')).body['tags']).toEqual(['administrator', 'warden'])
})

it('makes no more vhosts than the settings say', async () => {
  expect((await api.put('/api/vhosts/second', {})).status).toBe(201)
  expect(await api.put('/api/vhosts/third', {})).toMatchObject({
    status: 400,
    body: { error: 'bad_request', reason: "cannot create vhost 'third': vhost limit of 2 is reached" },
  })
  expect((await api.put('/api/vhosts/second', { description: 'still there' })).status).toBe(204)
})

it('offers the mechanisms of the settings, and takes no other', async () => {
  const client = await RawClient.dial(api.server.ports.amqp)
  await client.protocolHeader().expect('connection.start', { mechanisms: 'AMQPLAIN' })
  client.drop()
  const [node] = (await api.get('/api/nodes')).body as unknown as readonly { auth_mechanisms: readonly object[] }[]
  expect(node!.auth_mechanisms).toContainEqual(expect.objectContaining({ name: 'PLAIN', enabled: false }))
})
