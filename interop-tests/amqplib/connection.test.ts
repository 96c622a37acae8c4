// amqplib, promise API: opening, negotiating and ending connections.
import { once } from 'node:events'
import type { EventEmitter } from 'node:events'
import { connect, credentials } from 'amqplib'
import type { ChannelModel } from 'amqplib'
import { describe, expect, it, onTestFinished } from 'vitest'
import { closeIfOpen, connectTo, refusal, refusalOf } from '../support/amqplib.ts'
import { needsOwnBroker, useBroker } from '../support/broker.ts'
import { queueName } from '../support/names.ts'

const broker = useBroker()

/** What amqplib keeps of the negotiation, which its types do not show. */
interface Negotiated {
  readonly channelMax: number
  readonly frameMax: number
  readonly heartbeat: number
  readonly heartbeater: EventEmitter | null
  readonly serverProperties: Record<string, unknown>
}

function negotiated(connection: ChannelModel): Negotiated {
  return connection.connection as unknown as Negotiated
}

describe('opening', () => {
  it('introduces itself as RabbitMQ with a version of three numbers, as clients expect it', async () => {
    const { serverProperties } = negotiated(await connectTo(broker))
    expect(serverProperties).toMatchObject({
      product: 'RabbitMQ',
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      platform: expect.any(String),
      copyright: expect.any(String),
      information: expect.any(String),
      cluster_name: expect.any(String),
    })
  })

  it('offers every capability on which clients decide what they may use', async () => {
    const { serverProperties } = negotiated(await connectTo(broker))
    expect(serverProperties['capabilities']).toMatchObject({
      publisher_confirms: true,
      exchange_exchange_bindings: true,
      'basic.nack': true,
      consumer_cancel_notify: true,
      'connection.blocked': true,
      consumer_priorities: true,
      authentication_failure_close: true,
      per_consumer_qos: true,
      direct_reply_to: true,
    })
  })

  it('takes its address from an object as well as from a URL', async () => {
    const connection = await connect({
      protocol: 'amqp',
      hostname: new URL(broker.url).hostname,
      port: broker.port,
      username: 'guest',
      password: 'guest',
      vhost: '/',
      locale: 'en_GB',
      heartbeat: 30,
      frameMax: 16_384,
      channelMax: 10,
    })
    onTestFinished(() => closeIfOpen(connection))
    expect(negotiated(connection)).toMatchObject({ heartbeat: 30, frameMax: 16_384, channelMax: 10 })
  })

  it('opens the default virtual host by its escaped name', async () => {
    const connection = await connectTo(broker, '/%2F')
    await (await connection.createChannel()).checkExchange('amq.topic')
  })

  it('keeps client properties and socket options of any kind', async () => {
    const connection = await connectTo(broker, '', {
      noDelay: true,
      keepAlive: true,
      timeout: 10_000,
      clientProperties: { connection_name: 'interop', nested: { list: [1, 'two', { three: 3 }] }, flag: true },
    })
    await (await connection.createChannel()).checkExchange('amq.topic')
  })

  it('logs in with PLAIN', async () => {
    await connectTo(broker, '', { credentials: credentials.plain('guest', 'guest') })
  })

  it('logs in with AMQPLAIN', async () => {
    await connectTo(broker, '', { credentials: credentials.amqplain('guest', 'guest') })
  })

  it('does not offer EXTERNAL without TLS', async () => {
    await expect(connectTo(broker, '', { credentials: credentials.external() })).rejects.toThrow(
      'SASL mechanism EXTERNAL is not provided by the server',
    )
  })

  it.each([
    ['PLAIN', credentials.plain('guest', 'wrong')],
    ['PLAIN', credentials.plain('nobody', 'guest')],
    ['PLAIN', credentials.plain('guest', '')],
    ['AMQPLAIN', credentials.amqplain('guest', 'wrong')],
  ])('refuses a login by %s with 403 and RabbitMQ’s sentence', async (mechanism, wrong) => {
    const error = await connectTo(broker, '', { credentials: wrong }).catch((reason: unknown) => reason)
    expect(refusalOf(error).text).toBe(
      `ACCESS_REFUSED - Login was refused using authentication mechanism ${mechanism}. ` +
        'For details see the broker logfile.',
    )
    expect((error as Error).message).toContain('Handshake terminated by server: 403 (ACCESS-REFUSED)')
  })

  it('closes the connection that asks for a virtual host that is not there', async () => {
    await expect(connectTo(broker, '/no-such-vhost')).rejects.toThrow('got <ConnectionClose channel:0>')
  })
})

describe('negotiation', () => {
  it('proposes 2047 channels, frames of 128 KiB and a heartbeat of 60 s', async () => {
    expect(negotiated(await connectTo(broker))).toMatchObject({ channelMax: 2047, frameMax: 131_072, heartbeat: 60 })
  })

  it('accepts the smallest frames that AMQP allows', async () => {
    expect(negotiated(await connectTo(broker, '?frameMax=4096')).frameMax).toBe(4096)
  })

  it('never raises a limit to what the client asks', async () => {
    const connection = await connectTo(broker, '?frameMax=1048576&channelMax=65535')
    expect(negotiated(connection)).toMatchObject({ frameMax: 131_072, channelMax: 2047 })
  })

  it('takes 0 from the client as no preference', async () => {
    const connection = await connectTo(broker, '?frameMax=0&channelMax=0')
    expect(negotiated(connection)).toMatchObject({ frameMax: 131_072, channelMax: 2047 })
  })

  it('goes without heartbeats when the client wants none', async () => {
    const connection = await connectTo(broker, '?heartbeat=0')
    expect(negotiated(connection)).toMatchObject({ heartbeat: 0, heartbeater: null })
  })

  it('keeps an idle connection alive by heartbeats in both directions', async () => {
    const connection = await connectTo(broker, '?heartbeat=1')
    const { heartbeat, heartbeater } = negotiated(connection)
    expect(heartbeat).toBe(1)
    // amqplib gives up after 2 s without a heartbeat of the broker, which would show as an error, and RabbitMQ after 2
    // to 3 s without one of the client. An idle client beats once a second.
    for (let beat = 0; beat < 4; beat++) await once(heartbeater!, 'beat')
    await (await connection.createChannel()).checkExchange('amq.direct')
  })

  it('opens as many channels as were agreed', async () => {
    const connection = await connectTo(broker, '?channelMax=3')
    for (let channel = 0; channel < 3; channel++) await connection.createChannel()
    await expect(connection.createChannel()).rejects.toThrow('No channels left to allocate')
  })

  it('opens a channel again under the number of a closed one', async () => {
    const connection = await connectTo(broker, '?channelMax=1')
    for (let round = 0; round < 5; round++) {
      const channel = await connection.createChannel()
      await channel.assertQueue('', { exclusive: true })
      await channel.close()
    }
  })

  it('opens a channel again under the number of one that it closed for an error', async () => {
    const connection = await connectTo(broker, '?channelMax=1')
    for (let round = 0; round < 5; round++) {
      expect(await refusal(connection, (channel) => channel.checkQueue(queueName()))).toMatchObject({ code: 404 })
    }
  })

  it('serves two thousand channels on one connection', async () => {
    const connection = await connectTo(broker)
    const channels = await Promise.all(Array.from({ length: 2000 }, () => connection.createChannel()))
    await Promise.all(channels.map((channel) => channel.checkExchange('amq.direct')))
  })
})

describe('a running connection', () => {
  it('takes a new secret', async () => {
    const connection = await connectTo(broker)
    const announced = once(connection, 'update-secret-ok')
    await connection.updateSecret(Buffer.from('a new secret'), 'it was time')
    await announced
    await (await connection.createChannel()).checkExchange('amq.direct')
  })

  it('is not told of an alarm while there is none', async () => {
    const connection = await connectTo(broker)
    const alarms: string[] = []
    connection.on('blocked', (reason) => alarms.push(reason))
    connection.on('unblocked', () => alarms.push('over'))
    const channel = await connection.createConfirmChannel()
    const { queue } = await channel.assertQueue('', { exclusive: true })
    channel.sendToQueue(queue, Buffer.alloc(64 * 1024))
    await channel.waitForConfirms()
    expect(alarms).toEqual([])
  })

  it('keeps its channels apart', async () => {
    const connection = await connectTo(broker)
    const steady = await connection.createChannel()
    await steady.assertQueue('', { exclusive: true })
    await refusal(connection, (channel) => channel.checkExchange('no-such-exchange'))
    // The empty name is the queue declared last on this channel, so its state survived as well.
    expect(await steady.purgeQueue('')).toEqual({ messageCount: 0 })
  })
})

describe('the end of a connection', () => {
  it('is confirmed to the client that asked for it', async () => {
    const connection = await connectTo(broker)
    const closed = once(connection, 'close')
    await connection.close()
    expect(await closed).toEqual([undefined])
    await expect(connection.createChannel()).rejects.toThrow('Connection closed')
  })

  it('takes open channels, consumers and deliveries in flight with it', async () => {
    const connection = await connectTo(broker)
    const channel = await connection.createConfirmChannel()
    const { queue } = await channel.assertQueue('', { exclusive: true })
    await channel.consume(queue, () => undefined)
    for (let message = 0; message < 100; message++) channel.sendToQueue(queue, Buffer.from('in flight'))
    const channelClosed = once(channel, 'close')
    await connection.close()
    await channelClosed
  })

  it('deletes the exclusive queues of the connection before it is confirmed', async () => {
    const observer = await connectTo(broker)
    const connection = await connectTo(broker)
    const queue = queueName()
    await (await connection.createChannel()).assertQueue(queue, { exclusive: true })
    await connection.close()
    expect(await refusal(observer, (channel) => channel.checkQueue(queue))).toMatchObject({ code: 404 })
  })

  it('comes with 320 and a reason when the broker is stopped', async (context) => {
    needsOwnBroker(context)
    const connection = await connectTo(broker)
    const closed = once(connection, 'close') as Promise<[Error & { code: number }]>
    await broker.restart()
    const [error] = await closed
    expect(refusalOf(error)).toEqual({
      code: 320,
      text: "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
    })
  })
})
