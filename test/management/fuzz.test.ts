// Whatever is sent, no route fails: bodies and names of every kind against every route.
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { buffer } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Route } from '../../src/management/route.ts'
import { Slices } from '../../src/lib/slices.ts'
import { loadRoutes } from '../../src/management/routes/routes.ts'
import { useApi } from '../support/api.ts'

const routes = await loadRoutes(new Slices())
const api = useApi()

const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e300,
  '',
  'x',
  '[',
  '\u0000',
  '🐇',
  [],
  [null],
  {},
  { a: {} },
]
const KEYS = [
  ...['name', 'value', 'pattern', 'definition', 'priority', 'apply-to', 'configure', 'write', 'read', 'exchange'],
  ...['password', 'password_hash', 'tags', 'users', 'queues', 'bindings', 'policies', 'parameters', 'vhosts'],
  ...['arguments', 'durable', 'type', 'routing_key', 'properties', 'payload', 'payload_encoding', 'count', 'ackmode'],
  ...['encoding', 'truncate', 'limits', 'permissions', 'description', 'action'],
]
const BODIES: readonly string[] = [
  '',
  '{',
  '{"value":',
  'null',
  '"{}"',
  '[]',
  '5',
  '\u0000',
  '{"__proto__":{"name":1}}',
  `${'{"a":'.repeat(2000)}1${'}'.repeat(2000)}`,
  '['.repeat(5000),
  ...VALUES.map((value) => JSON.stringify(Object.fromEntries(KEYS.map((key) => [key, value])))),
]
const NAMES = [
  '%2F',
  '%252F',
  '..',
  '%2E%2E',
  '%00',
  '%F0%9F%90%87',
  'a%20b',
  '%E2%98',
  '~',
  '%7E',
  'x'.repeat(300),
  '%5B',
  '__proto__',
]

/** The status, or 0 where the connection was closed on what is no HTTP. */
async function status({ method, path }: Route, name: string, body: string): Promise<number> {
  const { status: code } = await api.call(method, path.replaceAll(/:\w+/g, name), {
    ...(method === 'PUT' || method === 'POST' ? { raw: body } : {}),
    headers: { 'content-type': 'application/json' },
  })
  return code
}

/** Those that end what the test needs. */
const KEPT = new Set(['DELETE /api/users/:user', 'DELETE /api/vhosts/:vhost', 'PUT /api/permissions/:vhost/:user'])
const fuzzed = routes.filter(({ method, path }) => !KEPT.has(`${method} ${path}`))

beforeAll(async () => {
  await api.put('/api/queues/%2F/%2F', { durable: true })
  await api.put('/api/exchanges/%2F/%2F', { durable: true })
})

describe('a request that makes no sense', () => {
  it.each(fuzzed.map((route) => [route.method, route.path, route] as const))(
    'is answered by %s %s, and is no mistake of ours',
    async (_method, _path, route) => {
      for (const name of NAMES) expect([name, await status(route, name, '{}')]).not.toEqual([name, 500])
      if (route.method !== 'PUT' && route.method !== 'POST') return
      for (const body of BODIES) {
        const shown = body.slice(0, 200)
        expect([shown, await status(route, '%2F', body)]).not.toEqual([shown, 500])
      }
    },
  )

  it.each([
    'page=1&sort=__proto__.a',
    'columns=a.b.c,,.',
    'page=1&name=(a%2B)%2B%24&use_regex=true',
    'sort=%00&page=-1',
    'msg_rates_age=1e9&msg_rates_incr=1',
    'page=1&page=2&name[]=x',
  ])('is a query %s', async (query) => {
    for (const path of ['queues', 'exchanges', 'connections', 'users', 'vhosts', 'overview', 'bindings']) {
      const { status: code } = await api.get(`/api/${path}?${query}`)
      expect([path, code < 500]).toEqual([path, true])
    }
  })
})

describe('an answer', () => {
  async function raw(path: string, encoding: string): Promise<readonly [IncomingMessage, Buffer]> {
    const request = httpRequest({
      host: '127.0.0.1',
      port: api.port,
      path,
      headers: { authorization: `Basic ${btoa('guest:guest')}`, 'accept-encoding': encoding },
    })
    request.end()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    return [response, await buffer(response)]
  }

  it.each(['/api/overview', '/api/queues', '/api/definitions'])(
    'is compressed for who can read that: %s',
    async (path) => {
      const [{ headers }, bytes] = await raw(path, 'deflate, gzip')
      expect(headers['content-encoding']).toBe('gzip')
      expect(headers.vary).toContain('accept-encoding')
      expect(() => JSON.parse(gunzipSync(bytes).toString()) as unknown).not.toThrow()
    },
  )

  it.each(['', 'br', 'gzip;q=0'])('is plain for who cannot: %j', async (encoding) => {
    const [{ headers }, bytes] = await raw('/api/overview', encoding)
    expect(headers['content-encoding']).toBeUndefined()
    expect(() => JSON.parse(bytes.toString()) as unknown).not.toThrow()
  })
})
