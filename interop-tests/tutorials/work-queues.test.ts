// Second tutorial: tasks that are shared between workers, and survive a worker and the broker.
import type { Channel, ConsumeMessage } from 'amqplib'
import { expect, it } from 'vitest'
import { bodies, connectTo, subscribe } from '../support/amqplib.ts'
import { needsOwnBroker, useBroker } from '../support/broker.ts'
import { nextEvent } from '../support/event.ts'
import type { Inbox } from '../support/inbox.ts'
import { queueName } from '../support/names.ts'

const broker = useBroker()

interface Worker {
  readonly channel: Channel
  readonly tasks: Inbox<ConsumeMessage>
}

/** A worker with a connection of its own that takes one task at a time. */
async function worker(queue: string): Promise<Worker> {
  const channel = await (await connectTo(broker)).createChannel()
  await channel.assertQueue(queue, { durable: true })
  await channel.prefetch(1)
  const { inbox } = await subscribe(channel, queue)
  return { channel, tasks: inbox }
}

async function addTasks(queue: string, tasks: readonly string[]): Promise<void> {
  const connection = await connectTo(broker)
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue(queue, { durable: true })
  for (const task of tasks) channel.sendToQueue(queue, Buffer.from(task), { persistent: true })
  await channel.waitForConfirms()
  await connection.close()
}

it('a worker that is done early takes more of the tasks', async () => {
  const queue = queueName()
  const [slow, quick] = [await worker(queue), await worker(queue)]
  await addTasks(queue, ['1', '2', '3', '4', '5', '6'])
  const [first, second] = await Promise.all([slow.tasks.next(), quick.tasks.next()])
  const done: string[] = []
  let current = second
  for (let task = 0; task < 5; task++) {
    done.push(current.content.toString())
    quick.channel.ack(current)
    if (task < 4) current = await quick.tasks.next()
  }
  slow.channel.ack(first)
  expect(slow.tasks.size).toBe(0)
  expect([first.content.toString(), ...done].toSorted()).toEqual(['1', '2', '3', '4', '5', '6'])
})

it('the task of a worker that dies goes to another one', async () => {
  const queue = queueName()
  const mortal = await connectTo(broker)
  const channel = await mortal.createChannel()
  await channel.assertQueue(queue, { durable: true })
  await channel.prefetch(1)
  const { inbox } = await subscribe(channel, queue)
  await addTasks(queue, ['do not lose me'])
  expect(bodies([await inbox.next()])).toEqual(['do not lose me'])

  const heir = await worker(queue)
  await mortal.close()
  const task = await heir.tasks.next()
  expect(bodies([task])).toEqual(['do not lose me'])
  expect(task.fields.redelivered).toBe(true)
  heir.channel.ack(task)
})

it('tasks in a durable queue survive the broker', async (context) => {
  needsOwnBroker(context)
  const queue = queueName()
  const connection = await connectTo(broker)
  const lost = nextEvent(connection, 'error')
  await addTasks(queue, ['first', 'second'])
  await broker.kill()
  await lost
  await broker.restart()
  const { channel, tasks } = await worker(queue)
  for (const expected of ['first', 'second']) {
    const task = await tasks.next()
    expect(bodies([task])).toEqual([expected])
    channel.ack(task)
  }
})
