// Sixth tutorial: a request with a queue for its reply and a correlation id, answered by a server.
import { randomUUID } from 'node:crypto'
import type { Channel } from 'amqplib'
import { expect, it } from 'vitest'
import { connectTo } from '../support/amqplib.ts'
import { useBroker } from '../support/broker.ts'
import { queueName } from '../support/names.ts'

const broker = useBroker()

function fibonacci(index: number): number {
  let [current, next] = [0, 1]
  for (let step = 0; step < index; step++) [current, next] = [next, current + next]
  return current
}

/** Answers each number sent to `queue` with the Fibonacci number of that index. */
async function serve(queue: string): Promise<void> {
  const channel = await (await connectTo(broker)).createChannel()
  await channel.assertQueue(queue, { durable: false, autoDelete: true })
  await channel.prefetch(1)
  await channel.consume(queue, (request) => {
    if (request === null) return
    const answer = Buffer.from(String(fibonacci(Number(request.content.toString()))))
    const { correlationId, replyTo } = request.properties
    channel.sendToQueue(replyTo, answer, { correlationId })
    channel.ack(request)
  })
}

/** A function that asks over the channel; any number of calls may be under way at once. */
async function caller(channel: Channel, queue: string): Promise<(index: number) => Promise<number>> {
  const waiting = new Map<string, (answer: number) => void>()
  const { queue: replyTo } = await channel.assertQueue('', { exclusive: true })
  const receive = (reply: { content: Buffer; properties: { correlationId?: string } } | null): void => {
    const id = reply?.properties.correlationId ?? ''
    waiting.get(id)?.(Number(reply?.content.toString()))
    waiting.delete(id)
  }
  await channel.consume(replyTo, receive, { noAck: true })
  return (index) =>
    new Promise((resolve) => {
      const correlationId = randomUUID()
      waiting.set(correlationId, resolve)
      channel.sendToQueue(queue, Buffer.from(String(index)), { correlationId, replyTo })
    })
}

it('every caller gets the answers to its own questions', async () => {
  const queue = queueName()
  await serve(queue)
  const [alice, bob] = await Promise.all(
    [0, 1].map(async () => caller(await (await connectTo(broker)).createChannel(), queue)),
  )
  const [small, large] = await Promise.all([
    Promise.all([0, 1, 2, 3, 10].map((index) => alice!(index))),
    Promise.all([20, 30, 70].map((index) => bob!(index))),
  ])
  expect(small).toEqual([0, 1, 1, 2, 55])
  expect(large).toEqual([6765, 832_040, 190_392_490_709_135])
})

it('two servers share the questions', async () => {
  const queue = queueName()
  await Promise.all([serve(queue), serve(queue)])
  const ask = await caller(await (await connectTo(broker)).createChannel(), queue)
  const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => ask(index)))
  expect(answers).toEqual(Array.from({ length: 50 }, (_, index) => fibonacci(index)))
})
