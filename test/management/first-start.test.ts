// What the settings say of the first user, and of the broker's name.
import { afterEach, beforeEach, expect, it } from 'vitest'
import { startServer } from '../../src/server.ts'
import { Api } from '../support/api.ts'

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
