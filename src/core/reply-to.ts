// Direct reply-to: the names of queues that exist for as long as their consumer does, and are told to nobody else.
import { randomBytes } from 'node:crypto'

/** What clients consume from, and name in the reply-to property of their requests. */
export const REPLY_TO = 'amq.rabbitmq.reply-to'

const PREFIX = `${REPLY_TO}.`
const PLACE_BYTES = 9
const KEY_BYTES = 16

/** A name for one consumer of replies. Two parts in base64, as RabbitMQ has them; nobody guesses it. */
export function replyQueueName(): string {
  return `${PREFIX}${randomBytes(PLACE_BYTES).toString('base64')}.${randomBytes(KEY_BYTES).toString('base64')}`
}

/** Whether a name is that of a consumer of replies. */
export function namesReplyQueue(name: string): boolean {
  return name.startsWith(PREFIX)
}
