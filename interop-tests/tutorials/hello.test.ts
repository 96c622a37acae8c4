// First tutorial: one program sends a message to a queue by its name, another receives it.
import { expect, it } from 'vitest'
import { bodies, connectTo, subscribe } from '../support/amqplib.ts'
import { useBroker } from '../support/broker.ts'
import { queueName } from '../support/names.ts'

const broker = useBroker()

async function send(queue: string, greeting: string): Promise<void> {
  const connection = await connectTo(broker)
  const channel = await connection.createChannel()
  await channel.assertQueue(queue, { durable: false })
  channel.sendToQueue(queue, Buffer.from(greeting))
  // In amqplib the close of a connection overtakes what its channels have yet to write, that of the channel does not.
  await channel.close()
  await connection.close()
}

it('a greeting sent to a queue reaches the program that listens to it', async () => {
  const queue = queueName()

  const receiver = await (await connectTo(broker)).createChannel()
  await receiver.assertQueue(queue, { durable: false })
  const { inbox } = await subscribe(receiver, queue, { noAck: true })

  await send(queue, 'Hello, hare!')
  expect(bodies([await inbox.next()])).toEqual(['Hello, hare!'])
})

it('a greeting waits for a receiver that comes later', async () => {
  const queue = queueName()

  await send(queue, 'Are you there?')

  const receiver = await (await connectTo(broker)).createChannel()
  const { inbox } = await subscribe(receiver, queue, { noAck: true })
  expect(bodies([await inbox.next()])).toEqual(['Are you there?'])
})
