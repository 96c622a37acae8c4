// Fourth tutorial: a direct exchange lets each listener choose the severities that it wants.
import type { ConsumeMessage } from 'amqplib'
import { expect, it } from 'vitest'
import { bodies, connectTo, subscribe } from '../support/amqplib.ts'
import { useBroker } from '../support/broker.ts'
import type { Inbox } from '../support/inbox.ts'
import { exchangeName } from '../support/names.ts'

const broker = useBroker()

async function listener(exchange: string, severities: readonly string[]): Promise<Inbox<ConsumeMessage>> {
  const channel = await (await connectTo(broker)).createChannel()
  await channel.assertExchange(exchange, 'direct', { durable: false })
  const { queue } = await channel.assertQueue('', { exclusive: true })
  for (const severity of severities) await channel.bindQueue(queue, exchange, severity)
  return (await subscribe(channel, queue, { noAck: true })).inbox
}

it('each listener hears the severities that it asked for, and no others', async () => {
  const exchange = exchangeName()
  const file = await listener(exchange, ['error'])
  const screen = await listener(exchange, ['info', 'warning', 'error'])

  const speaker = await (await connectTo(broker)).createChannel()
  await speaker.assertExchange(exchange, 'direct', { durable: false })
  for (const severity of ['info', 'error', 'debug', 'warning', 'error']) {
    speaker.publish(exchange, severity, Buffer.from(`${severity}!`))
  }

  expect(bodies(await screen.take(4))).toEqual(['info!', 'error!', 'warning!', 'error!'])
  expect(bodies(await file.take(2))).toEqual(['error!', 'error!'])
})
