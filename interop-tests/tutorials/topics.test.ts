// Fifth tutorial: a topic exchange matches keys of several words by patterns.
import type { ConfirmChannel } from 'amqplib'
import { expect, it } from 'vitest'
import { bodies, connectTo } from '../support/amqplib.ts'
import { useBroker } from '../support/broker.ts'
import { exchangeName } from '../support/names.ts'

const broker = useBroker()

async function heard(channel: ConfirmChannel, queue: string): Promise<string[]> {
  const lines: string[] = []
  for (;;) {
    const message = await channel.get(queue, { noAck: true })
    if (message === false) return lines
    lines.push(...bodies([message]))
  }
}

it('each listener hears the speed, colour and species of animal that it is interested in', async () => {
  const exchange = exchangeName()
  const channel = await (await connectTo(broker)).createConfirmChannel()
  await channel.assertExchange(exchange, 'topic', { durable: false })
  const listener = async (...patterns: string[]): Promise<string> => {
    const { queue } = await channel.assertQueue('', { exclusive: true })
    for (const pattern of patterns) await channel.bindQueue(queue, exchange, pattern)
    return queue
  }
  const orange = await listener('*.orange.*')
  const hares = await listener('*.*.hare', 'lazy.#')
  const everything = await listener('#')

  const sightings = [
    'quick.orange.hare',
    'lazy.orange.elephant',
    'quick.orange.fox',
    'lazy.brown.fox',
    'lazy.pink.hare',
    'quick.brown.fox',
    'orange',
    'quick.orange.female.hare',
    'lazy.orange.female.hare',
    'lazy',
  ]
  for (const sighting of sightings) channel.publish(exchange, sighting, Buffer.from(sighting))
  await channel.waitForConfirms()

  expect(await heard(channel, orange)).toEqual(['quick.orange.hare', 'lazy.orange.elephant', 'quick.orange.fox'])
  expect(await heard(channel, hares)).toEqual([
    'quick.orange.hare',
    'lazy.orange.elephant',
    'lazy.brown.fox',
    'lazy.pink.hare',
    'lazy.orange.female.hare',
    'lazy',
  ])
  expect(await heard(channel, everything)).toEqual(sightings)
})
