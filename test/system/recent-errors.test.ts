// Why channels and connections were closed of late, as operators can ask.
import { expect, it } from 'vitest'
import { useOpenBroker } from '../support/open-broker.ts'

const open = useOpenBroker()

it('remembers why a channel was closed', async () => {
  const channel = await open.channel()
  channel.send('queue.declare', { queue: 'missing', passive: true })
  await channel.expectChannelClose(404, "NOT_FOUND - no queue 'missing' in vhost '/'", 'queue.declare')
  expect(open.broker.recentErrors.of('guest')).toEqual([
    {
      scope: 'channel',
      user: 'guest',
      vhost: '/',
      connection: expect.stringMatching(/^127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+$/),
      channel: 1,
      code: 404,
      text: "NOT_FOUND - no queue 'missing' in vhost '/'",
      time: open.clock.now(),
    },
  ])
})

it('remembers why a connection was closed', async () => {
  const client = await open.connect()
  client.sendOn(1, 'basic.qos')
  await client.expectConnectionClose(504, "CHANNEL_ERROR - expected 'channel.open'", 'basic.qos')
  const [error] = open.broker.recentErrors.of('guest')
  expect(error).toMatchObject({ scope: 'connection', vhost: '/', channel: null, code: 504 })
})

it('remembers a vhost that a user may not open, and that nobody was in it', async () => {
  await open.broker.access.putUser('stranger', { password: 'stranger' }, [])
  const client = await open.knock({ user: 'stranger', password: 'stranger' })
  await client.expect('connection.close')
  const [error] = open.broker.recentErrors.of('stranger')
  expect(error).toMatchObject({ scope: 'connection', vhost: null, code: 530 })
})

it('remembers a wrong password of the user whose it is not', async () => {
  const client = await open.dial()
  client.protocolHeader()
  await client.expect('connection.start')
  await client.startOk({ password: 'wrong' }).expect('connection.close')
  expect(open.broker.recentErrors.of('guest')).toMatchObject([{ scope: 'connection', code: 403 }])
})

it('keeps no name that strangers made up', async () => {
  const client = await open.dial()
  client.protocolHeader()
  await client.expect('connection.start')
  await client.startOk({ user: 'made up' }).expect('connection.close')
  expect(open.broker.recentErrors.all()).toMatchObject([{ user: null, code: 403 }])
})
