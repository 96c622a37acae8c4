// Dead letters that nobody takes yet, of queues that are to deliver them at least once, where state is shown.
import { connect } from 'amqplib'
import { expect, it } from 'vitest'
import { useApi } from '../support/api.ts'

const api = useApi()
const Q = '/api/queues/%2F/q'

async function dyingMetric(): Promise<string | undefined> {
  const response = await fetch(`http://127.0.0.1:${api.server.ports.prometheus}/metrics/per-object`)
  return /^leveret_queue_messages_dying\{vhost="\/",queue="q"\} (\d+)$/m.exec(await response.text())?.[1]
}

it('are counted as RabbitMQ does, for as long as they wait', async () => {
  const client = await connect(api.amqp)
  const channel = await client.createConfirmChannel()
  const args = {
    'x-dead-letter-exchange': '',
    'x-dead-letter-routing-key': 'dead',
    'x-dead-letter-strategy': 'at-least-once',
    'x-overflow': 'reject-publish',
    'x-message-ttl': 1000,
  }
  await channel.assertQueue('q', { arguments: args })
  for (const body of ['one', 'three']) channel.sendToQueue('q', Buffer.from(body), { persistent: true })
  await channel.waitForConfirms()
  api.clock.advance(1000)
  expect((await api.get(Q)).body).toMatchObject({ messages_dlx: 2, message_bytes_dlx: 8 })
  expect(await dyingMetric()).toBe('2')
  await channel.assertQueue('dead')
  api.clock.advance(1000)
  const { body } = await api.get(Q)
  expect([body['messages_dlx'], body['message_bytes_dlx'], await dyingMetric()]).toEqual([
    undefined,
    undefined,
    undefined,
  ])
  expect(await channel.checkQueue('dead')).toMatchObject({ messageCount: 2 })
  await client.close()
})
