// Who gets in, and into what: the user, password and virtual host of the first start, and where guest may come from.
import { networkInterfaces } from 'node:os'
import { afterEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import { startServer, type Server, type ServerOptions } from '../../src/server.ts'
import { RawClient, type Login } from '../support/raw-client.ts'

const REFUSED =
  'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.'
const servers: Server[] = []
const clients: RawClient[] = []

afterEach(async () => {
  for (const client of clients.splice(0)) client.drop()
  for (const server of servers.splice(0)) await server.close()
})

async function start(options: ServerOptions = {}): Promise<number> {
  const server = await startServer({ port: 0, clock: new ManualClock(), ...options })
  servers.push(server)
  return server.ports.amqp
}

async function connect(port: number, login: Login = {}, host?: string): Promise<RawClient> {
  const client = await RawClient.open(port, login, host)
  clients.push(client)
  return client
}

async function expectRefused(port: number, login: Login = {}, host?: string): Promise<void> {
  const client = await RawClient.dial(port, host)
  clients.push(client)
  await client.protocolHeader().expect('connection.start')
  await client.startOk(login).expectConnectionClose(403, REFUSED)
}

/** An address of this machine that is not the loopback's, if it has one. */
const outside = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address

describe('the user of the first start', () => {
  const own = { user: 'mia', password: 'seçret', vhost: 'meadow' }
  const options = { defaultUser: own.user, defaultPassword: own.password, defaultVhost: own.vhost }

  it('is the only one, in the only virtual host', async () => {
    const port = await start(options)
    await expectRefused(port)
    await expectRefused(port, { ...own, password: 'secret' })
    const client = await connect(port, own)
    const channel = await client.openChannel()
    channel.send('queue.purge', { queue: 'absent' })
    await channel.expectChannelClose(404, "NOT_FOUND - no queue 'absent' in vhost 'meadow'", 'queue.purge')
    await channel.call('channel.open')
    channel.publish({ exchange: 'absent' }, 'm')
    await channel.expectChannelClose(404, "NOT_FOUND - no exchange 'absent' in vhost 'meadow'", 'basic.publish')
  })

  it('may not name itself otherwise in a message', async () => {
    const port = await start(options)
    const channel = await (await connect(port, own)).openChannel()
    channel.publish({}, 'm', { 'user-id': 'mia' })
    await channel.expectNothing()
    channel.publish({}, 'm', { 'user-id': 'guest' })
    await channel.expectChannelClose(
      406,
      "PRECONDITION_FAILED - user_id property set to 'guest' but authenticated user was 'mia'",
      'basic.publish',
    )
  })

  it('finds no other virtual host', async () => {
    const port = await start(options)
    const client = await RawClient.dial(port)
    clients.push(client)
    await client.protocolHeader().expect('connection.start')
    await client.startOk(own).tune(own)
    client.send('connection.open', { 'virtual-host': '/' })
    await client.expectConnectionClose(530, 'NOT_ALLOWED - vhost / not found', 'connection.open')
  })

  it.skipIf(outside === undefined)('may come from anywhere (needs an address besides the loopback)', async () => {
    const port = await start({ ...options, host: '0.0.0.0' })
    await connect(port, own, outside)
    await connect(port, own)
  })
})

describe('guest', () => {
  it('may come from this machine, by IPv4', async () => {
    await connect(await start({ host: '127.0.0.1' }))
  })

  it('may come from this machine, by IPv6 and by IPv4 to a socket for both', async () => {
    const port = await start()
    await connect(port, {}, '::1')
    await connect(port, {}, '127.0.0.1')
  })

  it.skipIf(outside === undefined)('may not come from elsewhere (needs an address besides the loopback)', async () => {
    const port = await start()
    await expectRefused(port, {}, outside)
    await connect(port)
  })

  it.skipIf(outside === undefined)('may come from elsewhere if that is allowed (needs such an address)', async () => {
    const port = await start({ loopbackUsers: [] })
    await connect(port, {}, outside)
  })
})

describe('a broker that stops', () => {
  it('tells its clients, and takes no new ones', async () => {
    const server = await startServer({ port: 0, host: '127.0.0.1' })
    const client = await connect(server.ports.amqp)
    const channel = await client.openChannel()
    await channel.queue('q')
    await channel.consume('q')
    const closed = server.close()
    await client.expectConnectionClose(
      320,
      "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
    )
    await closed
    await expect(RawClient.dial(server.ports.amqp)).rejects.toThrow('ECONNREFUSED')
  })

  it('does not wait for clients that are not logged in', async () => {
    const server = await startServer({ port: 0, host: '127.0.0.1' })
    const client = await RawClient.dial(server.ports.amqp)
    clients.push(client)
    await client.protocolHeader().expect('connection.start')
    await server.close()
    await client.expectEnd()
  })

  it('does not wait for ever for clients that do not answer', async () => {
    const server = await startServer({ port: 0, host: '127.0.0.1' })
    const client = await connect(server.ports.amqp)
    await server.close()
    await client.expectConnectionClose(320, /^CONNECTION_FORCED - /, '', { answer: false })
    await client.expectEnd()
  })
})
