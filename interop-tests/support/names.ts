// Names of queues and exchanges that no other test uses, and their removal from a broker that outlives the tests.
import { randomBytes } from 'node:crypto'
import { connect } from 'amqplib'

const queues = new Set<string>()
const exchanges = new Set<string>()

/** A new queue name; on an external broker the queue is deleted after the file's last test. */
export function queueName(): string {
  const name = `interop-q-${unique()}`
  queues.add(name)
  return name
}

/** A new exchange name; on an external broker the exchange is deleted after the file's last test. */
export function exchangeName(): string {
  const name = `interop-x-${unique()}`
  exchanges.add(name)
  return name
}

/** Deletes everything that was named above. Deleting what is not there is no error (RabbitMQ since 3.2). */
export async function deleteLeftovers(url: string): Promise<void> {
  const connection = await connect(url)
  const channel = await connection.createChannel()
  for (const queue of queues) await channel.deleteQueue(queue)
  for (const exchange of exchanges) await channel.deleteExchange(exchange)
  await connection.close()
}

/** Short, because a reply text of the broker has room for 255 bytes only. */
function unique(): string {
  return randomBytes(6).toString('hex')
}
