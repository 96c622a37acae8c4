// What new passwords have to be like, in the words of RabbitMQ's validators of credentials.
import { afterEach, expect, it } from 'vitest'
import { startServer, type ServerOptions } from '../../src/server.ts'
import { Api } from '../support/api.ts'

let api: Api

async function serve(passwordRule: NonNullable<ServerOptions['passwordRule']>): Promise<void> {
  api = new Api()
  api.server = await startServer({ host: '127.0.0.1', managementHost: '127.0.0.1', managementPort: 0, passwordRule })
}

afterEach(() => api.stop())

const SHORT = { error: 'bad_request', reason: 'minimum required password length: 8' }
const OTHER = { error: 'bad_request', reason: 'provided password does not match the validator regular expression' }

it('is how long they are, of users old and new, and in definitions', async () => {
  await serve({ lengthMin: 8, pattern: '' })
  for (const password of ['', 'short', 'seven77']) {
    const { status, body } = await api.put('/api/users/ann', { password, tags: '' })
    expect([password, status, body]).toEqual([password, 400, SHORT])
  }
  expect((await api.get('/api/users/ann')).status).toBe(404)
  expect((await api.put('/api/users/ann', { password: 'eight888', tags: '' })).status).toBe(201)
  const { status, body } = await api.post('/api/definitions', { users: [{ name: 'ben', password: 'short', tags: '' }] })
  expect([status, body]).toEqual([400, SHORT])
  expect((await api.put('/api/users/guest', { password: 'short', tags: 'administrator' })).body).toEqual(SHORT)
  expect((await api.get('/api/whoami')).status).toBe(200)
})

it('is what they match', async () => {
  await serve({ lengthMin: 0, pattern: String.raw`^(?=.*\d)[a-z\d]{6,}$` })
  expect((await api.put('/api/users/ann', { password: 'letters', tags: '' })).body).toEqual(OTHER)
  expect((await api.put('/api/users/ann', { password: 'letters7', tags: '' })).status).toBe(201)
})

it('is nothing for hashes, for who has none, and for the first user', async () => {
  await serve({ lengthMin: 30, pattern: '^none$' })
  const hash = 'kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR'
  expect((await api.put('/api/users/ann', { password_hash: hash, tags: 'management' })).status).toBe(201)
  expect((await api.put('/api/users/ben', { tags: '' })).status).toBe(201)
  expect((await api.get('/api/whoami', { user: 'ann', password: 'test12' })).status).toBe(200)
  expect((await api.get('/api/whoami')).status).toBe(200)
})
