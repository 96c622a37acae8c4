// Password hashes of RabbitMQ's, as its definitions files have them: whoever is in such a file logs in as before.
import { createHash } from 'node:crypto'
import { afterEach, describe, it } from 'vitest'
import { useApi } from '../support/api.ts'
import { RawClient } from '../support/raw-client.ts'

const api = useApi()
const clients: RawClient[] = []
const REFUSED =
  'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.'

afterEach(() => {
  for (const client of clients.splice(0)) client.drop()
})

/** RabbitMQ's layout: four bytes of salt, then the digest of salt and password. */
function hashed(algorithm: string, password: string): string {
  const salt = Buffer.from('908dc60a', 'hex')
  return Buffer.concat([salt, createHash(algorithm).update(salt).update(password).digest()]).toString('base64')
}

async function importUser(user: object): Promise<void> {
  const rights = { user: 'ann', vhost: '/', configure: '', write: '.*', read: '' }
  await api.post('/api/definitions', { users: [{ name: 'ann', tags: [], ...user }], permissions: [rights] })
}

describe('a user of a definitions file', () => {
  it.each([
    ['SHA-256', 'rabbit_password_hashing_sha256', hashed('sha256', 'test12')],
    ['SHA-512', 'rabbit_password_hashing_sha512', hashed('sha512', 'test12')],
    ['MD5', 'rabbit_password_hashing_md5', hashed('md5', 'test12')],
    // From RabbitMQ's documentation.
    ['SHA-256', 'rabbit_password_hashing_sha256', 'kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR'],
  ])('whose password is hashed by %s logs in with it, and with no other', async (_name, algorithm, hash) => {
    await importUser({ password_hash: hash, hashing_algorithm: algorithm })
    for (const password of ['test12', 'test12']) {
      clients.push(await RawClient.open(api.server.ports.amqp, { user: 'ann', password }))
    }
    for (const password of ['Test12', 'test1', '', hash]) {
      const client = await RawClient.dial(api.server.ports.amqp)
      clients.push(client)
      await client.protocolHeader().expect('connection.start')
      await client.startOk({ user: 'ann', password }).expectConnectionClose(403, REFUSED)
    }
  })

  it('whose hash is empty does not log in at all', async () => {
    await importUser({ password_hash: '', hashing_algorithm: 'rabbit_password_hashing_sha256' })
    const client = await RawClient.dial(api.server.ports.amqp)
    clients.push(client)
    await client.protocolHeader().expect('connection.start')
    await client.startOk({ user: 'ann', password: '' }).expectConnectionClose(403, REFUSED)
  })
})
