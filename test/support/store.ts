// Small makings for tests of the store.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { onTestFinished } from 'vitest'
import type { Publisher, QueueLog, Store, StoredMessage } from '../../src/core/ports.ts'
import { Message } from '../../src/core/message.ts'
import { Entry } from '../../src/core/queue/entry.ts'
import { LevelStore, type LevelStoreOptions, type OpenedLevelStore } from '../../src/store/level/level-store.ts'
import { queueNamed } from './core.ts'

export const EVERYTHING = Number.MAX_SAFE_INTEGER

const queue = queueNamed('q')

/** What a test says of a message; the rest is as in the commonest one. */
export interface MessageWords {
  readonly body?: string | Buffer
  readonly properties?: string | Buffer
  readonly exchange?: string
  readonly routingKey?: string
  readonly priority?: number
  readonly expirationMs?: number
  readonly headers?: boolean
  readonly persistent?: boolean
}

/** An entry whose message is a view into a chunk of input, as a front end makes it. */
export function entryOf(position: number, words: MessageWords = {}): Entry {
  const properties = Buffer.from(words.properties ?? 'props')
  const body = Buffer.from(words.body ?? `body ${position}`)
  const chunk = Buffer.concat([Buffer.from('<'), properties, Buffer.from('|'), body, Buffer.from('>')])
  const facts = {
    persistent: words.persistent ?? true,
    priority: words.priority ?? -1,
    expirationMs: words.expirationMs ?? -1,
    headers: words.headers ?? false,
  }
  const start = 1 + properties.length + 1
  const message = new Message(
    words.exchange ?? '',
    words.routingKey ?? 'q',
    facts,
    chunk,
    1,
    1 + properties.length,
    chunk,
    start,
    start + body.length,
    false,
  )
  return new Entry(queue, message, position)
}

/** A publisher that notes what it is told. */
export class NotingPublisher implements Publisher {
  readonly acceptances: number[] = []
  readonly refusals: number[] = []

  accepted(sequence: number): void {
    this.acceptances.push(sequence)
  }

  refused(sequence: number): void {
    this.refusals.push(sequence)
  }
}

/** Resolves when everything that was enlisted is on disk. */
export function durable(store: Store): Promise<void> {
  return new Promise((resolve) => store.whenDurable(resolve))
}

/** Opens a store, and finds out at once what its logs hold. */
export async function openWhole(options: LevelStoreOptions): Promise<OpenedLevelStore> {
  const opened = await LevelStore.open(options)
  await opened.store.openLogs()
  return opened
}

/** The log, when it is known what it held when the store was opened. Rejects when the disk does not give that. */
export async function whenOpen<Log extends QueueLog>(log: Log): Promise<Log> {
  await new Promise<void>((resolve, reject) => log.whenOpened(resolve, reject))
  return log
}

/** Appends entries at these positions and returns them. */
export function appendAll(log: QueueLog, positions: Iterable<number>, words: MessageWords = {}): Entry[] {
  const entries: Entry[] = []
  for (const position of positions) {
    const entry = entryOf(position, words)
    log.append(entry, null, 0)
    entries.push(entry)
  }
  return entries
}

/** The numbers from one to below another. */
export function* range(from: number, below: number): Generator<number> {
  for (let i = from; i < below; i++) yield i
}

/** Everything that a log holds in a range, page after page. */
export async function readAll(log: QueueLog, from = 0, below = EVERYTHING): Promise<StoredMessage[]> {
  const all: StoredMessage[] = []
  for (;;) {
    const found = await log.read(from, below)
    if (found.length === 0) return all
    all.push(...found)
    from = found[found.length - 1]!.position + 1
  }
}

export function positionsOf(found: readonly StoredMessage[]): number[] {
  return found.map(({ position }) => position)
}

export function bodyOf({ message }: { readonly message: Message }): string {
  return message.body.toString('latin1', message.bodyStart, message.bodyEnd)
}

export function propertiesOf({ message }: { readonly message: Message }): string {
  return message.properties.toString('latin1', message.propertiesStart, message.propertiesEnd)
}

/** Makes a fragment as it was before format 3 of the store: of version 1, whose checksum is CRC-32. */
export function withCrc32(fragment: Buffer): void {
  fragment[4] = 1
  fragment.writeUInt32BE(crc32(fragment.subarray(4)), 0)
}

/** A directory that is removed when the test ends. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'leveret-store-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}
