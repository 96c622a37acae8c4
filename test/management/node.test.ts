// What operators change of a running node over HTTP, until it stops.
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
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

describe('the listeners for AMQP', () => {
  const change = async (what: string): Promise<Response> => call('PUT', `nodes/${node}/listeners/${what}`)
  const checked = async (): Promise<number> =>
    (await call('GET', `health/checks/port-listener/${server.ports.amqp}`)).status
  const connected = async (): Promise<Socket> => {
    const socket = connect(server.ports.amqp, '127.0.0.1')
    await once(socket, 'connect')
    return socket
  }

  it('are suspended and resumed on their port, while open connections go on', async () => {
    const early = await connected()
    for (let i = 0; i < 2; i++) {
      expect((await change('suspend')).status).toBe(204)
      await expect(connected()).rejects.toMatchObject({ code: 'ECONNREFUSED' })
      expect(await checked()).toBe(503)
    }
    early.write('AMQP\0\0\x09\x01')
    const [start] = (await once(early, 'data')) as [Buffer]
    expect(start.toString('latin1')).toContain('PLAIN')
    for (let i = 0; i < 2; i++) expect((await change('resume')).status).toBe(204)
    expect(await checked()).toBe(200)
    const late = await connected()
    for (const socket of [early, late]) socket.destroy()
    expect((await call('PUT', 'nodes/other@host/listeners/suspend')).status).toBe(404)
  })

  it('stay suspended when another process has the port', async () => {
    await change('suspend')
    const squatter = createServer().listen(server.ports.amqp, '127.0.0.1')
    await once(squatter, 'listening')
    const refused = await change('resume')
    expect([refused.status, await refused.json()]).toEqual([
      503,
      { error: 'not_listening', reason: expect.stringContaining('in use by another process') as string },
    ])
    expect(await checked()).toBe(503)
    squatter.close()
    await once(squatter, 'close')
    const answers = await Promise.all(['resume', 'resume', 'suspend', 'resume'].map((what) => change(what)))
    expect(answers.map(({ status }) => status)).toEqual([204, 204, 204, 204])
    expect((await change('resume')).status).toBe(204)
    ;(await connected()).destroy()
  })
})

describe('a node', () => {
  it('collects garbage when it is told to', async () => {
    expect((await call('POST', `nodes/${node}/collect-garbage`, {})).status).toBe(204)
    expect((await call('POST', 'nodes/other@host/collect-garbage', {})).status).toBe(404)
  })
})
