// After a failure it is said what the store holds for a message.
import { expect, it, onTestFinished } from 'vitest'
import { startServer } from '../../../src/server.ts'
import { RawClient } from '../../support/raw-client.ts'
import { temporaryDirectory } from '../../support/store.ts'
import { holdings } from './holdings.ts'

it('finds messages in queues, in priorities and before exchanges, settled and not, and changes nothing', async () => {
  const dataDir = await temporaryDirectory()
  const server = await startServer({ dataDir, host: '127.0.0.1' })
  const client = await RawClient.open(server.ports.amqp)
  onTestFinished(() => client.drop())
  const channel = await client.openChannel()
  await channel.queue('plain', { durable: true })
  await channel.queue('ranked', { durable: true, arguments: { 'x-max-priority': 3 } })
  const later = {
    exchange: 'later',
    type: 'x-delayed-message',
    durable: true,
    arguments: { 'x-delayed-type': 'fanout' },
  }
  await channel.call('exchange.declare', later)
  await channel.call('queue.bind', { exchange: 'later', queue: 'plain' })
  await channel.call('confirm.select')
  const publish = (exchange: string, key: string, id: string, more = {}): void => {
    const properties = { 'delivery-mode': 2, 'message-id': id, ...more }
    channel.publish({ exchange, 'routing-key': key }, 'x', properties)
  }
  publish('', 'plain', '1.1')
  publish('', 'plain', '1.2')
  publish('', 'ranked', '1.3', { priority: 2 })
  publish('later', '', '1.4', { headers: { 'x-delay': 1_000_000 } })
  for (let tag = 0; tag < 4;) tag = Number((await channel.expect('basic.ack'))['delivery-tag'])
  const { tag } = await channel.get('plain')
  channel.send('basic.ack', { 'delivery-tag': tag })
  await client.close()
  await server.close()

  const expected = new Map([
    ['1.1', ['plain at 0, settled']],
    ['1.2', ['plain at 1, not settled']],
    ['1.3', ['ranked, priority 2, at 0, not settled']],
    ['1.4', ['later, delayed']],
    ['1.5', []],
  ])
  expect(await holdings(dataDir, expected.keys())).toEqual(expected)
  expect(await holdings(dataDir, expected.keys())).toEqual(expected)
})
