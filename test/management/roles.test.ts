// Every route against every role: who may not is told so, and learns nothing else.
import { beforeAll, describe, expect, it } from 'vitest'
import type { Route } from '../../src/management/route.ts'
import { Slices } from '../../src/lib/slices.ts'
import { loadRoutes } from '../../src/management/routes/routes.ts'
import { useApi, type Body } from '../support/api.ts'

const routes = await loadRoutes(new Slices())
const api = useApi()

const ROLES = ['', 'none', 'management', 'policymaker', 'monitoring', 'administrator'] as const
type Role = (typeof ROLES)[number]

/** The roles that each tag suffices for. */
const SUFFICIENT: { readonly [N in Route['needs']]: readonly Role[] } = {
  nobody: ROLES,
  management: ['management', 'policymaker', 'monitoring', 'administrator'],
  policymaker: ['policymaker', 'administrator'],
  monitoring: ['monitoring', 'administrator'],
  administrator: ['administrator'],
}

/** The reason for which somebody is kept out for want of a tag. */
function refusalIn(body: Body): string | undefined {
  return /"(Not \w+ user)"/.exec(JSON.stringify(body))?.[1]
}

/** A path in which every part names something that does not exist. */
function pathOf({ path }: Route): string {
  return path.replaceAll(/:\w+/g, 'nothing-of-that-name')
}

beforeAll(async () => {
  for (const role of ROLES) {
    if (role !== '') await api.put(`/api/users/${role}`, { password: role, tags: role === 'none' ? '' : role })
  }
})

describe('the roles', () => {
  it.each(routes.map((route) => [route.method, route.path, route] as const))(
    'are held by %s %s',
    async (method, _path, route) => {
      for (const role of ROLES) {
        const { status, body } = await api.call(method, pathOf(route), { user: role })
        // A login by form is refused for what is in the form.
        const refused =
          status === 401 && route.handle.name !== 'login' && (role === '' ? body : refusalIn(body)) !== undefined
        expect(refused, `${role} is kept out`).toBe(!SUFFICIENT[route.needs].includes(role))
        expect(status, `${role} meets no mistake of ours`).not.toBe(500)
      }
    },
  )

  it('are asked for by every route but those that probes use', () => {
    const open = routes.filter(({ needs }) => needs === 'nobody').map(({ path }) => path)
    expect(open).toEqual([
      '/api/version',
      '/api/login',
      '/api/health/checks/is-in-service',
      '/api/health/checks/ready-to-serve-clients',
      '/api/health/checks/below-node-connection-limit',
      '/api/health/checks/reached-target-cluster-size',
      '/livez',
      '/readyz',
    ])
  })

  it('hide what is in a vhost from who has no permission there', async () => {
    await api.put('/api/queues/%2F/secret', { durable: true })
    for (const path of ['/api/queues/%2F', '/api/queues/%2F/secret', '/api/exchanges/%2F', '/api/bindings/%2F']) {
      expect((await api.get(path, { user: 'management' })).status).toBe(404)
      expect((await api.get(path, { user: 'monitoring' })).status).toBe(200)
    }
    expect((await api.get('/api/queues', { user: 'management' })).body).toEqual([])
  })

  it('do not stand in for permissions', async () => {
    const refused = { error: 'not_authorised', reason: 'Access refused.' }
    const publish = { properties: {}, routing_key: 'secret', payload: '', payload_encoding: 'string' }
    const get = { count: 1, ackmode: 'ack_requeue_true', encoding: 'auto' }
    const user = { user: 'administrator' }
    expect((await api.put('/api/queues/%2F/mine', {}, user)).body).toEqual(refused)
    expect((await api.delete('/api/queues/%2F/secret', user)).body).toEqual(refused)
    expect((await api.post('/api/exchanges/%2F/amq.default/publish', publish, user)).body).toEqual(refused)
    expect((await api.post('/api/queues/%2F/secret/get', get, user)).body).toEqual(refused)
    expect((await api.delete('/api/queues/%2F/secret/contents', user)).body).toEqual(refused)
  })
})
