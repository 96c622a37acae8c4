// What vhosts are made with, by the settings: users with permissions, operator policies, limits.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/config.ts'
import { vhostDefaults } from '../../src/config/vhost-defaults.ts'
import { startServer, type ServerOptions } from '../../src/server.ts'
import { Api, items, word, type Body } from '../support/api.ts'
import { RawClient } from '../support/raw-client.ts'

const RABBITMQ_CONF = `
default_users.ann.vhost_pattern = ^team-
default_users.ann.tags = monitoring
default_users.ann.password = carrot
default_users.ann.configure = ^$
default_users.ann.write = ^ann-
default_users.ann.read = .*
default_users.bob.vhost_pattern = ^team-b
default_policies.operator.short.vhost_pattern = ^team-
default_policies.operator.short.queue_pattern = ^tmp
default_policies.operator.short.max_length = 2
default_policies.operator.mirrored.classic_queues.ha_mode = exactly
default_policies.operator.idle.apply_to = queues
default_policies.operator.idle.expires = 1h
default_limits.vhosts.1.pattern = ^team-b
default_limits.vhosts.1.max_queues = 1
default_limits.vhosts.10.pattern = ^team-
default_limits.vhosts.10.max_connections = 1
default_limits.vhosts.2.pattern = ^team-
default_limits.vhosts.2.max_connections = 7
`

let api: Api
let directory: string | null = null

afterEach(async () => {
  await api.stop()
  if (directory !== null) await rm(directory, { recursive: true })
  directory = null
})

async function start(conf: string, options: ServerOptions = {}): Promise<void> {
  directory ??= await mkdtemp(join(tmpdir(), 'leveret-vhost-defaults-'))
  const file = join(directory, 'rabbitmq.conf')
  await writeFile(file, conf)
  const { values } = await loadConfig({ flags: { 'rabbitmq-conf': file }, environment: {} })
  api = new Api()
  const host = '127.0.0.1'
  api.server = await startServer({
    host,
    managementHost: host,
    managementPort: 0,
    clock: api.clock,
    vhostDefaults: vhostDefaults(values),
    ...options,
  })
}

/** The permissions in a vhost by user, as configure, write and read. */
async function permissions(vhost: string): Promise<unknown> {
  const { body } = await api.get(`/api/vhosts/${encodeURIComponent(vhost)}/permissions`)
  const rights = ({ configure, write, read }: Body) => [configure, write, read].map(word).join(' ')
  return Object.fromEntries(items(body).map((one) => [word(one['user']), rights(one)]))
}

async function limits(vhost: string): Promise<unknown> {
  return items((await api.get(`/api/vhost-limits/${encodeURIComponent(vhost)}`)).body)[0]?.['value']
}

async function operatorPolicies(vhost: string): Promise<unknown> {
  return (await api.get(`/api/operator-policies/${encodeURIComponent(vhost)}`)).body
}

describe('a vhost that is made', () => {
  it('has the users, with their rights, beside whoever makes it', async () => {
    await start(RABBITMQ_CONF)
    expect((await api.get('/api/users/ann')).status).toBe(404)
    expect((await api.put('/api/vhosts/team-a')).status).toBe(201)
    expect(await permissions('team-a')).toEqual({ guest: '.* .* .*', ann: '^$ ^ann- .*' })
    expect((await api.get('/api/users/ann')).body['tags']).toEqual(['monitoring'])
    expect((await api.get('/api/users/bob')).status).toBe(404)
    const ann = { user: 'ann', password: 'carrot' }
    expect((await api.get('/api/whoami', ann)).body['name']).toBe('ann')
    const client = await RawClient.open(api.server.ports.amqp, { ...ann, vhost: 'team-a' })
    const channel = await client.openChannel()
    channel.send('queue.declare', { queue: 'q' })
    const sentence = "ACCESS_REFUSED - configure access to queue 'q' in vhost 'team-a' refused for user 'ann'"
    await channel.expectChannelClose(403, sentence, 'queue.declare')
    client.drop()
  })

  it('has users who are there already, as they are; without a password they cannot log in by one', async () => {
    await start(RABBITMQ_CONF)
    await api.put('/api/users/ann', { password: 'turnip', tags: 'management' })
    await api.put('/api/vhosts/team-b')
    expect(await permissions('team-b')).toEqual({ guest: '.* .* .*', ann: '^$ ^ann- .*', bob: '.* .* .*' })
    expect((await api.get('/api/users/ann')).body['tags']).toEqual(['management'])
    expect((await api.get('/api/whoami', { user: 'ann', password: 'turnip' })).status).toBe(200)
    expect((await api.get('/api/whoami', { user: 'ann', password: 'carrot' })).status).toBe(401)
    expect((await api.get('/api/users/bob')).body['password_hash']).toBe('')
  })

  it('has the operator policies, which hold', async () => {
    await start(RABBITMQ_CONF)
    await api.put('/api/vhosts/team-a')
    const idle = {
      vhost: 'team-a',
      name: 'idle',
      pattern: '.*',
      'apply-to': 'queues',
      priority: 0,
      definition: { expires: 3_600_000 },
    }
    expect(await operatorPolicies('team-a')).toEqual([
      idle,
      { ...idle, name: 'short', pattern: '^tmp', 'apply-to': 'all', definition: { 'max-length': 2 } },
    ])
    await api.delete('/api/operator-policies/team-a/idle')
    await api.put('/api/queues/team-a/tmp-1')
    expect((await api.get('/api/queues/team-a/tmp-1')).body).toMatchObject({
      operator_policy: 'short',
      effective_policy_definition: { 'max-length': 2 },
    })
    await api.put('/api/vhosts/other')
    expect(await operatorPolicies('other')).toEqual([{ ...idle, vhost: 'other' }])
  })

  it('has the limits of the first name that matches, which hold', async () => {
    await start(RABBITMQ_CONF)
    for (const vhost of ['team-a', 'team-b', 'other']) await api.put(`/api/vhosts/${vhost}`)
    expect(await limits('team-a')).toEqual({ 'max-connections': 1 })
    expect(await limits('team-b')).toEqual({ 'max-queues': 1 })
    expect(await limits('other')).toBeUndefined()
    expect((await api.put('/api/queues/team-b/one')).status).toBe(201)
    expect((await api.put('/api/queues/team-b/two')).body['reason']).toBe(
      "cannot declare queue 'two': queue limit in vhost 'team-b' (1) is reached",
    )
  })

  it('is made once when two ask for it, and with its users once', async () => {
    await start(RABBITMQ_CONF)
    const both = await Promise.all([api.put('/api/vhosts/team-a'), api.put('/api/vhosts/team-a')])
    expect(both.map(({ status }) => status)).toEqual([201, 201])
    expect(await permissions('team-a')).toEqual({ guest: '.* .* .*', ann: '^$ ^ann- .*' })
  })

  it('gives way to what an imported file says of it', async () => {
    await start(RABBITMQ_CONF)
    const imported = await api.post('/api/definitions', {
      vhosts: [{ name: 'team-a', limits: { 'max-queues': 3 } }],
      permissions: [{ user: 'ann', vhost: 'team-a', configure: 'a', write: 'b', read: 'c' }],
    })
    expect(imported.status).toBe(204)
    expect(await permissions('team-a')).toEqual({ ann: 'a b c' })
    expect(await limits('team-a')).toEqual({ 'max-queues': 3 })
    expect(items((await api.get('/api/operator-policies/team-a')).body)).toHaveLength(2)
  })
})

describe('the default vhost', () => {
  it('is made with them at the first start, and the default user stays what the settings say', async () => {
    await start('default_users.guest.read = ^$\ndefault_users.eve.write = ^$\ndefault_limits.vhosts.1.max_queues = 9')
    expect(await permissions('/')).toEqual({ guest: '.* .* .*', eve: '.* ^$ .*' })
    expect(await limits('/')).toEqual({ 'max-queues': 9 })
    expect((await api.get('/api/users/guest')).body['tags']).toEqual(['administrator'])
  })

  it('is left as it is at the next start', async () => {
    await start('', { dataDir: (directory = await mkdtemp(join(tmpdir(), 'leveret-vhost-defaults-'))) })
    await api.stop()
    await start('default_users.eve.write = ^$\ndefault_limits.vhosts.1.max_queues = 9', { dataDir: directory })
    expect(await permissions('/')).toEqual({ guest: '.* .* .*' })
    expect(await limits('/')).toBeUndefined()
  })
})
