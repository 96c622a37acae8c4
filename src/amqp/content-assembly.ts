// Puts a published message together: the method, then a content header, then body frames in any number of pieces.
import { Message } from '../core/message.ts'
import { AmqpError } from './errors.ts'
import type { Incomplete } from './incomplete.ts'
import { CONTENT_BYTES_MAX, EXPIRATION_MS_MAX } from './limits.ts'
import { asksForReplies, mayHaveCopies } from './publish-properties.ts'
import { Method, ReplyCode } from './wire/generated.ts'
import { headerBodySize, headerClass, headerWeight, PropertyScan } from './wire/properties.ts'
import { decodeText } from './wire/text.ts'

/** What a body is gathered into at first, when it comes in pieces; it doubles as more of it arrives. */
const GATHER_BYTES = 256 * 1024
const HEADER_FIXED_BYTES = 12
const CLASS_BASIC = 60
const NO_BYTES = Buffer.alloc(0)

const State = { idle: 0, header: 1, body: 2 } as const
type State = (typeof State)[keyof typeof State]

/**
 * The content of one channel. A body that arrives whole stays a view into its chunk; one in pieces is copied once, into
 * a buffer that grows with what has arrived, not with what was announced.
 */
export class ContentAssembly {
  exchange = ''
  routingKey = ''
  mandatory = false
  /** Milliseconds; -1 when there is none. Together with the next three: the facts of the message. */
  expirationMs = -1
  persistent = false
  priority = -1
  headers = false
  /** The property user-id; null when there is none. */
  userId: string | null = null
  /** Whether the reply-to asks for direct replies, and whether the headers may have a CC or a BCC. */
  directReply = false
  copied = false
  /** Whether any of these four asks for something: most messages do not. */
  special = false
  /** What is wrong with the properties, if anything. RabbitMQ looks at exchange and rights first. */
  fault: AmqpError | null = null

  readonly #bodyBytesMax: number
  readonly #incomplete: Incomplete
  readonly #scan = new PropertyScan()
  #state: State = State.idle
  #properties: Buffer = NO_BYTES
  #propertiesStart = 0
  #propertiesEnd = 0
  #body: Buffer = NO_BYTES
  #bodyBytes = 0
  #gathered = 0

  /** Bodies above `bodyBytesMax` are refused at their header. What has come of one in pieces is counted as incomplete. */
  constructor(bodyBytesMax: number, incomplete: Incomplete) {
    this.#bodyBytesMax = bodyBytesMax
    this.#incomplete = incomplete
  }

  /** Whether a content is under way, so that a method may not come now (AMQP 0-9-1 §4.2.6). */
  get busy(): boolean {
    return this.#state !== State.idle
  }

  /** basic.publish: a header frame is to follow. */
  begin(exchange: string, routingKey: string, mandatory: boolean): void {
    this.exchange = exchange
    this.routingKey = routingKey
    this.mandatory = mandatory
    this.#state = State.header
  }

  /** Takes the header frame's payload. Returns the message when there is no body. Throws AmqpError. */
  header(buffer: Buffer, start: number, end: number): Message | null {
    if (this.#state !== State.header) throw this.#unexpected()
    const bodyBytes = this.#announced(buffer, start)
    this.#scan.scan(buffer, start + HEADER_FIXED_BYTES, end)
    this.#readFacts(buffer)
    this.#properties = buffer
    this.#propertiesStart = start + HEADER_FIXED_BYTES
    this.#propertiesEnd = end
    this.#bodyBytes = bodyBytes
    this.#gathered = 0
    if (bodyBytes > 0) {
      this.#state = State.body
      return null
    }
    this.#state = State.idle
    return this.#message(NO_BYTES, 0, 0, false)
  }

  /** Takes a piece of a body frame. Returns the message when it is whole. Throws AmqpError. */
  body(buffer: Buffer, start: number, end: number): Message | null {
    if (this.#state !== State.body) throw this.#unexpected()
    const bytes = end - start
    if (this.#gathered === 0 && bytes === this.#bodyBytes) {
      this.#state = State.idle
      return this.#message(buffer, start, end, false)
    }
    if (bytes > this.#bodyBytes - this.#gathered) {
      throw new AmqpError(
        'connection',
        ReplyCode.frameError,
        'content body frame exceeds remaining content size',
        PUBLISH,
      )
    }
    this.#gather(buffer, start, end)
    if (this.#gathered < this.#bodyBytes) return null
    const body = this.#body
    const properties = this.#properties
    this.#state = State.idle
    this.#incomplete.gone(this.#gathered, 0)
    this.#body = NO_BYTES
    // Small properties beside a large body: they are copied along, so that the message owns all that it has.
    const own = Buffer.from(properties.subarray(this.#propertiesStart, this.#propertiesEnd))
    this.#properties = own
    this.#propertiesStart = 0
    this.#propertiesEnd = own.length
    return this.#message(body, 0, this.#bodyBytes, true)
  }

  /** Forgets a content that is under way. */
  abandon(): void {
    const begun = this.#state === State.body && this.#gathered > 0
    if (begun) this.#incomplete.gone(this.#gathered, this.#bodyBytes - this.#gathered)
    this.#state = State.idle
    this.#body = NO_BYTES
    this.#properties = NO_BYTES
  }

  /** The error of a method frame that came while content was expected. */
  interrupted(): AmqpError {
    const sentence =
      this.#state === State.header
        ? 'expected content header for class 60, got non content header frame instead'
        : 'expected content body, got non content body frame instead'
    return new AmqpError('connection', ReplyCode.unexpectedFrame, sentence, PUBLISH)
  }

  #unexpected(): AmqpError {
    return this.#state === State.idle ? contentUnexpected() : this.interrupted()
  }

  #announced(buffer: Buffer, start: number): number {
    const classId = headerClass(buffer, start)
    if (classId !== CLASS_BASIC) {
      const sentence = `expected content header for class 60, got one for class ${classId} instead`
      throw new AmqpError('connection', ReplyCode.unexpectedFrame, sentence, PUBLISH)
    }
    // RabbitMQ: a weight makes it something that is no content header.
    if (headerWeight(buffer, start) !== 0) throw this.interrupted()
    const size = headerBodySize(buffer, start)
    if (size > CONTENT_BYTES_MAX) {
      const sentence = `content body size ${size} exceeds maximum allowed size ${CONTENT_BYTES_MAX}`
      throw new AmqpError('connection', ReplyCode.frameError, sentence, PUBLISH)
    }
    if (size > this.#bodyBytesMax) {
      const sentence = `message size ${size} is larger than configured max size ${this.#bodyBytesMax}`
      throw new AmqpError('channel', ReplyCode.preconditionFailed, sentence, PUBLISH)
    }
    return Number(size)
  }

  #readFacts(buffer: Buffer): void {
    const scan = this.#scan
    this.persistent = scan.deliveryMode === 2
    this.priority = scan.priority
    this.headers = scan.headersStart >= 0
    this.userId = scan.userIdStart < 0 ? null : decodeText(buffer, scan.userIdStart, scan.userIdEnd)
    this.expirationMs = -1
    this.directReply = scan.replyToStart >= 0 && asksForReplies(buffer, scan.replyToStart, scan.replyToEnd)
    this.copied = scan.headersStart >= 0 && mayHaveCopies(buffer, scan.headersStart, scan.headersEnd)
    this.special = this.userId !== null || this.directReply || this.copied
    this.fault = null
    if (scan.expirationStart < 0) return
    const expiration = parseExpiration(decodeText(buffer, scan.expirationStart, scan.expirationEnd))
    if (typeof expiration === 'number') this.expirationMs = expiration
    else {
      this.fault = expiration
      this.special = true
    }
  }

  #gather(buffer: Buffer, start: number, end: number): void {
    const needed = this.#gathered + end - start
    if (needed > this.#body.length || this.#gathered === 0) {
      const capacity = Math.min(this.#bodyBytes, Math.max(GATHER_BYTES, needed, this.#gathered * 2))
      const larger = Buffer.allocUnsafeSlow(capacity)
      this.#body.copy(larger, 0, 0, this.#gathered)
      this.#body = larger
    }
    buffer.copy(this.#body, this.#gathered, start, end)
    const bytes = end - start
    if (bytes > 0) this.#incomplete.came(bytes, this.#gathered === 0 ? this.#bodyBytes - bytes : -bytes)
    this.#gathered = needed
  }

  #message(body: Buffer, start: number, end: number, owned: boolean): Message {
    return new Message(
      this.exchange,
      this.routingKey,
      this,
      this.#properties,
      this.#propertiesStart,
      this.#propertiesEnd,
      body,
      start,
      end,
      owned,
    )
  }
}

const PUBLISH = Method.basicPublish

/** The error of a header or a body without a publish before it. */
export function contentUnexpected(): AmqpError {
  const sentence = 'expected method frame, got non method frame instead'
  return new AmqpError('connection', ReplyCode.unexpectedFrame, sentence)
}

/**
 * Reads the expiration property: milliseconds in decimal. Returns an error 406 with RabbitMQ's text, in which the
 * reason is an Erlang term.
 */
export function parseExpiration(text: string): number | AmqpError {
  const digits = /^[+-]?\d+/.exec(text)?.[0]
  if (digits === undefined) return invalidExpiration(text, 'no_integer')
  const rest = text.slice(digits.length)
  if (rest !== '') return invalidExpiration(text, `{leftover_string,${JSON.stringify(rest)}}`)
  const value = Number(digits)
  if (value < 0) return invalidExpiration(text, `{value_negative,${BigInt(digits)}}`)
  if (value > EXPIRATION_MS_MAX) return invalidExpiration(text, `{value_too_large,${BigInt(digits)}}`)
  return value
}

function invalidExpiration(text: string, reason: string): AmqpError {
  return new AmqpError('channel', ReplyCode.preconditionFailed, `invalid expiration '${text}': ${reason}`, PUBLISH)
}
