// Messages that wait for their time: one record each, under the time at which it is due, so that the first are the next.
import { Message, type Deaths } from '../../core/message.ts'
import type { DelayedMessage, DelayLog, DueMessages, Publisher } from '../../core/ports.ts'
import { DamagedRecordError, RecordReader, putText, putVarint, textBytesMax, VARINT_BYTES_MAX } from './bytes.ts'
import type { Batch, BatchMember } from './committer.ts'
import { eraseRange } from './erase-range.ts'
import { Kind, logKey } from './keys.ts'
import type { StoreContext } from './log-pages.ts'
import { encodeDelayRecord, seal, unseal, type DelayRecord } from './records.ts'

const KEY_BYTES = 17
const DUE_AT = 5
const ORDER_AT = 11
const TIME_MAX = 2 ** 48 - 1

/** What one reading answers with, about; and how many records are asked for at once. */
const READ_MESSAGES = 1024
const READ_BYTES = 4 * 1024 * 1024
const READ_AT_ONCE = 64

/** Blind copies are the last of the copies; how many they are follows these. */
const Flag = { persistent: 0x01, headers: 0x02, blindCopies: 0x04, noPriority: 0x08 } as const

interface Waiting extends DelayedMessage {
  readonly publisher: Publisher | null
  readonly sequence: number
}

/** One exchange's delay log. What waits to be written is kept in order of arrival; what is on disk, nowhere else. */
export class LevelDelayLog implements DelayLog, BatchMember {
  readonly id: number
  count: number
  readonly #context: StoreContext
  readonly #stored: (due: number) => void
  #nextOrder: number
  #waiting: Waiting[] = []
  #inFlight: Waiting[] = []
  #removed: DelayedMessage[] = []
  #removedInFlight: DelayedMessage[] = []
  /** The orders of settled messages whose records may still be met. */
  readonly #settled = new Set<number>()
  /** Those of them that are gone from the disk, but not from what is being read. */
  readonly #erased: DelayedMessage[] = []
  #reading = 0
  #enlisted = false
  #dropped: boolean

  constructor(id: number, context: StoreContext, record: DelayRecord, stored: (due: number) => void) {
    this.id = id
    this.#context = context
    this.#stored = stored
    this.count = record.count
    this.#nextOrder = record.next
    this.#dropped = record.dropped
  }

  append(
    message: Message,
    copies: readonly string[],
    due: number,
    publisher: Publisher | null,
    sequence: number,
  ): DelayedMessage {
    const waiting = { message, copies, due, order: this.#nextOrder++, publisher, sequence }
    if (this.#dropped) {
      publisher?.accepted(sequence)
      return waiting
    }
    this.#waiting.push(waiting)
    this.#context.committer.pendingBytes += bytesOf(message)
    this.count++
    this.#enlist()
    return waiting
  }

  async due(now: number): Promise<DueMessages> {
    const { committer } = this.#context
    await committer.readable()
    // Nothing can be read from a closed database, and nothing will be: the next start goes on.
    if (committer.closing) return { messages: [], next: Infinity }
    const messages: DelayedMessage[] = []
    let bytes = 0
    const range = { gte: delayKey(Kind.delayed, this.id, 0, 0), lt: delayKey(Kind.delayed, this.id, TIME_MAX, 0) }
    const iterator = this.#context.database.iterator(range)
    this.#reading++
    try {
      for (;;) {
        const found = await iterator.nextv(READ_AT_ONCE)
        if (found.length === 0) return { messages, next: Infinity }
        for (const [key, value] of found) {
          const due = key.readUIntBE(DUE_AT, 6)
          if (due > now || messages.length === READ_MESSAGES || bytes > READ_BYTES) return { messages, next: due }
          if (this.#settled.has(key.readUIntBE(ORDER_AT, 6))) continue
          const delayed = this.#decode(key, due, value)
          if (delayed === null) continue
          messages.push(delayed)
          bytes += value.length
        }
      }
    } catch (error) {
      // With the database everything is closed that reads from it. What is due then is so at the next start.
      if (committer.closing) return { messages: [], next: Infinity }
      throw error
    } finally {
      this.#reading--
      this.#forgetErased()
      await iterator.close()
    }
  }

  async read(due: number, order: number, most: number): Promise<readonly DelayedMessage[]> {
    const { committer, database } = this.#context
    await committer.readable()
    if (committer.closing || this.#dropped) return []
    const from = delayKey(Kind.delayed, this.id, Math.min(due, TIME_MAX), order)
    const iterator = database.iterator({ gte: from, lt: delayKey(Kind.delayed, this.id, TIME_MAX, 0) })
    try {
      const found = await iterator.nextv(most)
      return found.flatMap(([key, value]) => this.#decode(key, key.readUIntBE(DUE_AT, 6), value) ?? [])
    } finally {
      await iterator.close()
    }
  }

  cancel(delayed: DelayedMessage): void {
    this.settle(delayed)
  }

  settle(delayed: DelayedMessage): void {
    if (this.#dropped) return
    this.#removed.push(delayed)
    this.#settled.add(delayed.order)
    this.count--
    this.#enlist()
  }

  drop(): void {
    this.#dropped = true
    for (const { message, publisher, sequence } of this.#waiting) {
      this.#context.committer.pendingBytes -= bytesOf(message)
      publisher?.accepted(sequence)
    }
    this.#waiting = []
    this.#removed = []
    this.count = 0
    this.#enlist()
    this.#context.committer.whenDurable(() => void this.erase())
  }

  contribute(batch: Batch): void {
    this.#enlisted = false
    for (const { due, order } of this.#removed) batch.del(delayKey(Kind.delayed, this.id, due, order))
    for (const waiting of this.#waiting) {
      if (this.#settled.has(waiting.order)) continue
      batch.put(delayKey(Kind.delayed, this.id, waiting.due, waiting.order), encodeDelayed(waiting))
    }
    this.#removedInFlight = this.#removed
    this.#removed = []
    this.#inFlight = this.#waiting
    this.#waiting = []
    const record = { count: this.count, next: this.#nextOrder, dropped: this.#dropped }
    batch.put(logKey(Kind.delayLog, this.id), encodeDelayRecord(record))
  }

  committed(): void {
    const inFlight = this.#inFlight
    this.#inFlight = []
    this.#erased.push(...this.#removedInFlight)
    this.#removedInFlight = []
    this.#forgetErased()
    let first = Infinity
    for (const { message, due, publisher, sequence } of inFlight) {
      this.#context.committer.pendingBytes -= bytesOf(message)
      publisher?.accepted(sequence)
      if (due < first) first = due
    }
    if (first < Infinity && !this.#dropped) this.#stored(first)
  }

  /** Deletes the records of a dropped log, and at last the record that says so. */
  async erase(): Promise<void> {
    const range = { gte: delayKey(Kind.delayed, this.id, 0, 0), lt: delayKey(Kind.delayed, this.id, TIME_MAX, 0) }
    const erased = await eraseRange(this.#context, range)
    if (erased) this.#context.committer.change({ type: 'del', key: logKey(Kind.delayLog, this.id) })
  }

  #forgetErased(): void {
    if (this.#reading > 0) return
    for (const { order } of this.#erased.splice(0)) this.#settled.delete(order)
  }

  #enlist(): void {
    if (this.#enlisted) return
    this.#enlisted = true
    this.#context.committer.enlist(this)
  }

  /** The message in a record. A damaged one is set aside and reported; null stands for it. */
  #decode(key: Buffer, due: number, value: Buffer): DelayedMessage | null {
    const order = key.readUIntBE(ORDER_AT, 6)
    try {
      return { due, order, ...decodeDelayed(unseal(value)) }
    } catch (error) {
      if (!(error instanceof DamagedRecordError)) throw error
      this.#context.committer.change({ type: 'put', key: delayKey(Kind.delayedAside, this.id, due, order), value })
      this.#context.committer.change({ type: 'del', key })
      this.count--
      this.#context.lost({ log: this.id, first: order, last: order, count: 1, error })
      return null
    }
  }
}

function delayKey(kind: Kind, log: number, due: number, order: number): Buffer {
  const key = Buffer.allocUnsafe(KEY_BYTES)
  key[0] = kind
  key.writeUInt32BE(log, 1)
  key.writeUIntBE(due, DUE_AT, 6)
  key.writeUIntBE(order, ORDER_AT, 6)
  return key
}

function bytesOf(message: Message): number {
  return KEY_BYTES + message.propertiesBytes + message.bodyBytes
}

function encodeDelayed({ message, copies }: DelayedMessage): Buffer {
  const texts = [message.exchange, message.routingKey, ...copies]
  const textBytes = texts.reduce((sum, text) => sum + textBytesMax(text), 0)
  const { propertiesBytes, bodyBytes } = message
  const bytes = Buffer.allocUnsafe(3 + 4 * VARINT_BYTES_MAX + textBytes + propertiesBytes + bodyBytes)
  const blindCount = message.blindCopies.length
  bytes[0] = (message.persistent ? Flag.persistent : 0) | (message.headers ? Flag.headers : 0)
  if (blindCount > 0) bytes[0] |= Flag.blindCopies
  if (message.priority < 0) bytes[0] |= Flag.noPriority
  bytes[1] = Math.max(0, message.priority)
  bytes[2] = message.deaths
  let at = putVarint(bytes, 3, message.expirationMs + 1)
  at = putVarint(bytes, at, copies.length)
  for (const text of texts) at = putText(bytes, at, text)
  if (blindCount > 0) at = putVarint(bytes, at, blindCount)
  at = putVarint(bytes, at, propertiesBytes)
  at += message.properties.copy(bytes, at, message.propertiesStart, message.propertiesEnd)
  at += message.body.copy(bytes, at, message.bodyStart, message.bodyEnd)
  return seal(bytes.subarray(0, at))
}

function decodeDelayed(content: Buffer): Pick<DelayedMessage, 'message' | 'copies'> {
  const reader = new RecordReader(content)
  const flags = reader.byte()
  const priority = reader.byte()
  const deaths = reader.byte() as Deaths
  const expirationMs = reader.varint() - 1
  const copyCount = reader.varint()
  const exchange = reader.text()
  const routingKey = reader.text()
  const copies: string[] = []
  for (let i = 0; i < copyCount; i++) copies.push(reader.text())
  const blindCount = flags & Flag.blindCopies ? reader.varint() : 0
  const propertiesBytes = reader.varint()
  const start = reader.skip(propertiesBytes)
  const end = start + propertiesBytes
  const facts = {
    persistent: (flags & Flag.persistent) !== 0,
    headers: (flags & Flag.headers) !== 0,
    priority: flags & Flag.noPriority ? -1 : priority,
    expirationMs,
  }
  const message = new Message(exchange, routingKey, facts, content, start, end, content, end, content.length, true)
  message.deaths = deaths
  if (blindCount > 0) message.blindCopies = copies.slice(-blindCount)
  return { message, copies }
}
