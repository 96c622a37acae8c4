// The one table from what the core refuses to AMQP 0-9-1's reply codes and scopes.
import { BrokerError, type BrokerErrorCode } from '../core/errors.ts'
import { ReplyCode, replyName } from './wire/generated.ts'
import { truncateText } from './wire/text.ts'

/** A failure that ends a channel or a connection, with the method that caused it. */
export class AmqpError extends Error {
  readonly scope: 'channel' | 'connection'
  readonly replyCode: number
  /** Class and method id of the failing method, as one number; 0 for failures below methods. */
  readonly method: number

  constructor(scope: 'channel' | 'connection', replyCode: number, sentence: string, method = 0) {
    super(sentence)
    this.name = 'AmqpError'
    this.scope = scope
    this.replyCode = replyCode
    this.method = method
  }

  /** What the client reads: the code's name and the sentence, within a short string. */
  get replyText(): string {
    return replyText(this.replyCode, this.message)
  }
}

/** RabbitMQ's form of a reply text. What does not fit into a short string is cut and ends in three dots, as there. */
export function replyText(replyCode: number, sentence: string): string {
  const name = replyName(replyCode)
  const text = sentence === '' ? name : `${name} - ${sentence}`
  return Buffer.byteLength(text) <= 255 ? text : `${truncateText(text, 252)}...`
}

const SCOPES: Record<BrokerErrorCode, readonly [code: number, scope: 'channel' | 'connection']> = {
  'not-found': [ReplyCode.notFound, 'channel'],
  'access-refused': [ReplyCode.accessRefused, 'channel'],
  'resource-locked': [ReplyCode.resourceLocked, 'channel'],
  'precondition-failed': [ReplyCode.preconditionFailed, 'channel'],
  'not-allowed': [ReplyCode.notAllowed, 'connection'],
  'not-implemented': [ReplyCode.notImplemented, 'connection'],
  'internal-error': [ReplyCode.internalError, 'connection'],
}

/** The same refusal in AMQP's terms. */
export function fromBrokerError(error: BrokerError, method: number): AmqpError {
  const [code, scope] = SCOPES[error.code]
  return new AmqpError(scope, code, error.message, method)
}

/** What was thrown while a method was handled, as the error of that method. What is not a refusal stays as it is. */
export function atMethod(error: unknown, method: number): unknown {
  if (error instanceof BrokerError) return fromBrokerError(error, method)
  if (!(error instanceof AmqpError) || error.method !== 0) return error
  return new AmqpError(error.scope, error.replyCode, error.message, method)
}
