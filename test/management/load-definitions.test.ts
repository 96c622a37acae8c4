// Definitions that are there when the broker starts.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest'
import { startServer, StartError, type Server } from '../../src/server.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'leveret-definitions-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const DEFINITIONS = {
  users: [{ name: 'ann', password: 'secret', tags: 'administrator' }],
  vhosts: [{ name: 'shop' }],
  permissions: [{ user: 'ann', vhost: 'shop', configure: '.*', write: '.*', read: '.*' }],
  queues: [{ vhost: 'shop', name: 'orders', durable: true, arguments: {} }],
}

function write(name: string, content: unknown): string {
  const file = join(directory, name)
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
  return file
}

async function start(loadDefinitions: string, dataDir?: string, skipUnchangedDefinitions = false): Promise<Server> {
  const server = await startServer({
    host: '127.0.0.1',
    managementHost: '127.0.0.1',
    managementPort: 0,
    loadDefinitions,
    skipUnchangedDefinitions,
    dataDir,
  })
  onTestFinished(() => server.close())
  return server
}

async function get(server: Server, path: string, user: string): Promise<{ status: number; body: unknown }> {
  const authorization = `Basic ${Buffer.from(`${user}:secret`).toString('base64')}`
  const url = `http://127.0.0.1:${server.ports.management}${path}`
  const response = await fetch(url, { headers: { authorization } })
  return { status: response.status, body: await response.json() }
}

it('are imported instead of the default user and vhost', async () => {
  const server = await start(write('definitions.json', DEFINITIONS))
  expect((await get(server, '/api/queues/shop/orders', 'ann')).status).toBe(200)
  expect((await get(server, '/api/whoami', 'guest')).status).toBe(401)
  expect((await get(server, '/api/vhosts', 'ann')).body).toHaveLength(1)
})

it('are imported again at every start, over what is there', async () => {
  const dataDir = join(directory, 'data')
  const file = write('definitions.json', DEFINITIONS)
  await (await start(file, dataDir)).close()
  write('definitions.json', { ...DEFINITIONS, queues: [{ vhost: 'shop', name: 'invoices', durable: true }] })
  const server = await start(file, dataDir)
  for (const queue of ['orders', 'invoices']) {
    expect((await get(server, `/api/queues/shop/${queue}`, 'ann')).status).toBe(200)
  }
})

it('are left alone when they are those of the last import, if the settings say so', async () => {
  const dataDir = join(directory, 'data')
  const file = write('definitions.json', DEFINITIONS)
  const first = await start(file, dataDir, true)
  const authorization = `Basic ${Buffer.from('ann:secret').toString('base64')}`
  const orders = `http://127.0.0.1:${first.ports.management}/api/queues/shop/orders`
  expect((await fetch(orders, { method: 'DELETE', headers: { authorization } })).status).toBe(204)
  await first.close()
  const second = await start(file, dataDir, true)
  expect((await get(second, '/api/queues/shop/orders', 'ann')).status).toBe(404)
  await second.close()
  write('definitions.json', { ...DEFINITIONS, policies: [] })
  const third = await start(file, dataDir, true)
  expect((await get(third, '/api/queues/shop/orders', 'ann')).status).toBe(200)
})

it('may be a directory of files, in the order of their names', async () => {
  const path = join(directory, 'definitions.d')
  mkdirSync(path)
  const { queues, ...rest } = DEFINITIONS
  writeFileSync(join(path, '2.json'), JSON.stringify({ queues }))
  writeFileSync(join(path, '1.json'), JSON.stringify(rest))
  writeFileSync(join(path, 'README'), 'not one of them')
  const server = await start(path)
  expect((await get(server, '/api/queues/shop/orders', 'ann')).status).toBe(200)
})

it.each([
  ['{"users": [', 'not_json'],
  [{ queues: [{ name: 'q', vhost: 'nowhere' }] }, "no vhost 'nowhere'"],
  [{ vhosts: [{}] }, 'key_missing,name'],
])('keep the broker from starting when they are wrong: %j', async (content, reason) => {
  const failed = start(write('definitions.json', content))
  await expect(failed).rejects.toThrow(StartError)
  await expect(failed).rejects.toThrow(/^The definitions in \S+definitions\.json cannot be imported: /)
  await expect(failed).rejects.toThrow(reason)
})

it('keep the broker from starting when they are not there', async () => {
  await expect(start(join(directory, 'none.json'))).rejects.toThrow(
    /none\.json cannot be read: there is nothing of that name\.$/,
  )
})
