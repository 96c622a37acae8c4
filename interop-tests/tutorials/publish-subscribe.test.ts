// Third tutorial: a fanout exchange gives a copy of every log line to each program that listens.
import type { ConsumeMessage } from 'amqplib'
import { expect, it } from 'vitest'
import { bodies, connectTo, subscribe } from '../support/amqplib.ts'
import { useBroker } from '../support/broker.ts'
import type { Inbox } from '../support/inbox.ts'
import { exchangeName } from '../support/names.ts'

const broker = useBroker()

async function listener(exchange: string): Promise<Inbox<ConsumeMessage>> {
  const channel = await (await connectTo(broker)).createChannel()
  await channel.assertExchange(exchange, 'fanout', { durable: false })
  const { queue } = await channel.assertQueue('', { exclusive: true })
  await channel.bindQueue(queue, exchange, '')
  return (await subscribe(channel, queue, { noAck: true })).inbox
}

it('every listener hears what is said from the time at which it joined', async () => {
  const exchange = exchangeName()
  const speaker = await (await connectTo(broker)).createConfirmChannel()
  await speaker.assertExchange(exchange, 'fanout', { durable: false })
  const say = async (line: string): Promise<void> => {
    speaker.publish(exchange, '', Buffer.from(line))
    await speaker.waitForConfirms()
  }

  await say('nobody hears this')
  const early = await listener(exchange)
  await say('one hears this')
  const late = await listener(exchange)
  await say('both hear this')

  expect(bodies(await early.take(2))).toEqual(['one hears this', 'both hear this'])
  expect(bodies(await late.take(1))).toEqual(['both hear this'])
})
