// Seventh tutorial: three ways of making sure that the broker has what was published.
import type { ConfirmChannel } from 'amqplib'
import { expect, it } from 'vitest'
import { connectTo } from '../support/amqplib.ts'
import { useBroker } from '../support/broker.ts'
import { queueName } from '../support/names.ts'

const broker = useBroker()
const count = 500

async function open(): Promise<{ channel: ConfirmChannel; queue: string }> {
  const channel = await (await connectTo(broker)).createConfirmChannel()
  const { queue } = await channel.assertQueue(queueName())
  return { channel, queue }
}

it('a publisher may wait for each confirm before it goes on', async () => {
  const { channel, queue } = await open()
  for (let message = 0; message < 50; message++) {
    channel.sendToQueue(queue, Buffer.from(String(message)), { persistent: true })
    await channel.waitForConfirms()
    expect(await channel.checkQueue(queue)).toMatchObject({ messageCount: message + 1 })
  }
  await channel.deleteQueue(queue)
})

it('a publisher may wait once for a batch', async () => {
  const { channel, queue } = await open()
  for (let message = 0; message < count; message++) {
    channel.sendToQueue(queue, Buffer.from(String(message)), { persistent: true })
    if (message % 100 === 99) await channel.waitForConfirms()
  }
  expect(await channel.deleteQueue(queue)).toEqual({ messageCount: count })
})

it('a publisher may handle confirms as they come and knows what is outstanding', async () => {
  const { channel, queue } = await open()
  const outstanding = new Set<number>()
  let confirms = 0
  for (let message = 0; message < count; message++) {
    outstanding.add(message)
    channel.sendToQueue(queue, Buffer.from(String(message)), { persistent: true }, (error) => {
      if (error !== null) return
      confirms++
      outstanding.delete(message)
    })
  }
  expect(outstanding.size).toBe(count)
  await channel.waitForConfirms()
  expect(outstanding.size).toBe(0)
  expect(confirms).toBe(count)
  expect(await channel.deleteQueue(queue)).toEqual({ messageCount: count })
})
