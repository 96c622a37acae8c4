// What the tests with amqplib share: connections that close themselves, and refusals in a form that can be compared.
import { once } from 'node:events'
import { connect } from 'amqplib'
import type { Channel, ChannelModel, ConsumeMessage, Options, SocketOptions } from 'amqplib'
import { onTestFinished } from 'vitest'
import type { Broker } from './broker.ts'
import { Inbox } from './inbox.ts'

/** How a broker refused something: the fields of the close method that it sent. */
export interface Refusal {
  readonly code: number
  readonly text: string
  /** Class and method that caused it, `"50.10"`; absent when a connection was closed, where amqplib does not tell. */
  readonly method?: string
}

interface AmqpError extends Error {
  readonly code: number
  readonly classId?: number
  readonly methodId?: number
}

/** Connects with amqplib; the connection is closed when the test ends. `query` is a part of the URL, `"?heartbeat=1"`. */
export async function connectTo(broker: Broker, query = '', socketOptions: SocketOptions = {}): Promise<ChannelModel> {
  const connection = await connect(broker.url + query, socketOptions)
  onTestFinished(() => closeIfOpen(connection))
  return connection
}

/** Closes what the test itself, or the broker, may have closed before. */
export async function closeIfOpen(closable: { close(): Promise<void> }): Promise<void> {
  try {
    await closable.close()
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'IllegalOperationError') throw error
  }
}

/** Subscribes and collects the messages; a cancellation by the broker (null) is collected as well. */
export async function subscribe(
  channel: Channel,
  queue: string,
  options?: Options.Consume,
): Promise<{ consumerTag: string; inbox: Inbox<ConsumeMessage> }> {
  const inbox = new Inbox<ConsumeMessage>()
  const { consumerTag } = await channel.consume(
    queue,
    (message) => {
      if (message === null) throw new Error(`The broker cancelled the consumer of ${queue}.`)
      inbox.put(message)
    },
    options,
  )
  return { consumerTag, inbox }
}

/** Runs `operation` on a channel of its own and tells how the broker closed that channel for it. */
export async function refusal(connection: ChannelModel, operation: (channel: Channel) => unknown): Promise<Refusal> {
  const channel = await connection.createChannel()
  const closed = once(channel, 'error')
  // A method without an answer is followed by one that has one, so that an acceptance shows instead of waiting.
  const accepted = (async () => {
    await operation(channel)
    await channel.checkExchange('amq.direct')
  })().then(
    () => Promise.reject(new Error('The broker accepted what it should refuse.')),
    () => closed,
  )
  const [error] = (await accepted) as [AmqpError]
  return refusalOf(error)
}

/** Waits until the broker closes the connection for an error and tells which. */
export async function connectionRefusal(connection: ChannelModel): Promise<Refusal> {
  const [error] = (await once(connection, 'error')) as [AmqpError]
  return refusalOf(error)
}

/** The fields of the close method, taken back out of the sentence that amqplib makes of them. */
export function refusalOf(error: unknown): Refusal {
  const { message, code, classId, methodId } = error as AmqpError
  const text = /with message "(.*)"$/s.exec(message)?.[1]
  if (text === undefined) throw new Error(`This is no refusal by the broker: ${message}`, { cause: error })
  return classId === undefined ? { code, text } : { code, text, method: `${classId}.${methodId}` }
}

/** The bodies of messages as strings. */
export function bodies(messages: readonly { content: Buffer }[]): string[] {
  return messages.map((message) => message.content.toString())
}
