// What operators change of a running node over HTTP, until it stops.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startServer, type Server } from '../../src/server.ts'

const logThreshold = { level: 'info' }
let server: Server
let node: string

async function call(method: string, path: string, body?: unknown): Promise<Response> {
  return fetch(`http://127.0.0.1:${server.ports.management}/api/${path}`, {
    method,
    headers: { authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

/** Sets limits. Returns the status of the answer. */
async function limit(limits: Readonly<Record<string, unknown>>): Promise<number> {
  return (await call('PUT', `nodes/${node}/limits`, limits)).status
}

/** The node as the API shows it. */
async function shown(): Promise<Readonly<Record<string, unknown>>> {
  return (await call('GET', `nodes/${node}`)).json() as Promise<Readonly<Record<string, unknown>>>
}

beforeAll(async () => {
  server = await startServer({ host: '127.0.0.1', managementHost: '127.0.0.1', managementPort: 0, logThreshold })
  const overview = (await (await call('GET', 'overview')).json()) as { readonly node: string }
  node = encodeURIComponent(overview.node)
})
afterAll(() => server.close())

describe('the limits of a node', () => {
  it('are changed, and publishers blocked or not, at once', async () => {
    expect(await limit({ memory_absolute: 1000, disk_free_absolute: 5 })).toBe(204)
    expect(await shown()).toMatchObject({ mem_limit: 1000, mem_alarm: true, disk_free_limit: 5 })
    expect(await limit({ memory_relative: 1 })).toBe(204)
    expect(await shown()).toMatchObject({ mem_alarm: false, disk_free_limit: 5 })
    expect(await limit({ memory_relative: 0 })).toBe(204)
    expect(await shown()).toMatchObject({ mem_limit: 1, mem_alarm: true })
    expect(await limit({ memory_relative: 0.9, disk_free_relative: 0 })).toBe(204)
    expect(await shown()).toMatchObject({ mem_alarm: false, disk_free_limit: 0 })
  })

  it.each([
    {},
    { memory_relative: 1.5 },
    { memory_relative: '0.4' },
    { memory_absolute: -1 },
    { memory_absolute: 0.5 },
    { disk_free_absolute: 1e20 },
  ])('cannot be %j', async (limits) => {
    const before = await shown()
    expect(await limit(limits)).toBe(400)
    const { mem_limit: memory, disk_free_limit: disk } = await shown()
    expect([memory, disk]).toEqual([before['mem_limit'], before['disk_free_limit']])
  })
})

describe('the level of the log', () => {
  it('is changed, by the names of RabbitMQ too', async () => {
    expect((await call('PUT', `nodes/${node}/log-level`, { level: 'warning' })).status).toBe(204)
    expect(logThreshold.level).toBe('warn')
    expect((await call('PUT', `nodes/${node}/log-level`, { level: 'debug' })).status).toBe(204)
    expect(logThreshold.level).toBe('debug')
    for (const level of ['loud', 'constructor', 7]) {
      expect((await call('PUT', `nodes/${node}/log-level`, { level })).status).toBe(400)
    }
    expect(logThreshold.level).toBe('debug')
  })
})

describe('a node', () => {
  it('collects garbage when it is told to', async () => {
    expect((await call('POST', `nodes/${node}/collect-garbage`, {})).status).toBe(204)
    expect((await call('POST', 'nodes/other@host/collect-garbage', {})).status).toBe(404)
  })
})
