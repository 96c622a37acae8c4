// Properties of a publish that ask for something themselves: further routing keys, and replies without a queue.
import { BrokerError } from '../core/errors.ts'
import { REPLY_TO } from '../core/reply-to.ts'
import type { Message } from '../core/message.ts'
import type { FieldTable } from '../core/value.ts'
import { COPIES_MAX } from './limits.ts'
import { decodeProperties, encodeProperties, type BasicProperties } from './wire/properties.ts'

const LETTER_B = 0x42
const LETTER_C = 0x43
const REPLY_TO_BYTES = Buffer.from(REPLY_TO)

/** Whether a reply-to property, `bytes[start, end)`, asks for direct replies. */
export function asksForReplies(bytes: Buffer, start: number, end: number): boolean {
  return end - start === REPLY_TO_BYTES.length && REPLY_TO_BYTES.compare(bytes, start, end) === 0
}

/** Whether headers may have a CC or a BCC. They are looked through as bytes: most have neither. */
export function mayHaveCopies(bytes: Buffer, start: number, end: number): boolean {
  const last = end - 1
  // Of two letters side by side every second look meets one.
  for (let at = start + 5; at < last; at += 2) {
    if (bytes[at] !== LETTER_C) continue
    const second = bytes[at - 1] === LETTER_C ? at : at + 1
    if (bytes[second] !== LETTER_C) continue
    if (bytes[second - 2] === 2 || (bytes[second - 2] === LETTER_B && bytes[second - 3] === 3)) return true
  }
  return false
}

/**
 * The further routing keys of a message (RabbitMQ: sender-selected distribution). Ensures: nobody who gets the message
 * reads in it who else did, by BCC; the message keeps those keys beside its headers.
 * @throws BrokerError precondition-failed when a header is no array, or there are too many keys
 */
export function takeCopies(message: Message): readonly string[] {
  const properties = decodeProperties(message.properties, message.propertiesStart, message.propertiesEnd)
  const headers = properties.headers
  if (headers === undefined) return []
  const told = keysIn(headers, 'CC')
  const blind = keysIn(headers, 'BCC')
  if (told.length + blind.length > COPIES_MAX) {
    throw new BrokerError('precondition-failed', `a message has at most ${COPIES_MAX} routing keys in CC and BCC`)
  }
  if (!headers.has('BCC')) return told
  const visible = new Map(headers)
  visible.delete('BCC')
  rewrite(message, { ...properties, headers: visible })
  message.blindCopies = blind
  return [...told, ...blind]
}

/** Makes the reply-to property a name that replies can be published to. */
export function addressReply(message: Message, replyTo: string): void {
  const properties = decodeProperties(message.properties, message.propertiesStart, message.propertiesEnd)
  rewrite(message, { ...properties, replyTo })
}

function rewrite(message: Message, properties: BasicProperties): void {
  const bytes = encodeProperties(properties)
  message.properties = bytes
  message.propertiesStart = 0
  message.propertiesEnd = bytes.length
}

function keysIn(headers: FieldTable, name: 'CC' | 'BCC'): string[] {
  const value = headers.get(name)
  if (value === undefined) return []
  if (value.type !== 'array') {
    const sentence = `invalid message: {unacceptable_type_in_header,"${name}",${value.type}}`
    throw new BrokerError('precondition-failed', sentence)
  }
  // RabbitMQ passes over what is no string.
  return value.value.flatMap((key) => (key.type === 'longstr' ? [key.value] : []))
}
