// Looking at the messages of a backlog without touching them.
import type { Fifo } from '../../lib/fifo.ts'
import type { Message } from '../message.ts'
import type { QueueLog, StoredMessage } from '../ports.ts'
import { EntryState, type Entry } from './entry.ts'
import { UnreadablePageError } from './unreadable.ts'

/** Messages that one look has at the most, of those in memory; of those on disk it is a page. */
const LOOK_MAX = 256

/** Where in the order of a queue: a position within the messages of a priority. */
export interface Place {
  readonly priority: number
  readonly position: number
}

/** Before everything. */
export const FIRST_PLACE: Place = { priority: 255, position: 0 }

/** A message as it stands in a queue. */
export interface Browsed {
  readonly position: number
  readonly message: Message
  readonly redelivered: boolean
  /** Milliseconds since 1970 when it expires; Infinity for never. */
  readonly deadline: number
  /** Milliseconds since 1970 before which it is not to be delivered again; 0 when it may be at once. */
  readonly dueAt: number
}

/** What one look has found, and where to look next; null when that was all. */
export interface BrowsedPage {
  readonly messages: readonly Browsed[]
  readonly next: Place | null
}

/** Messages that are in a log only: of the positions from `from` on and below `below` those that it holds. */
interface Unread {
  readonly log: QueueLog
  readonly from: number
  readonly below: number
  readonly count: number
  /** Whether all of them were delivered before: the log does not hear of that for what is spilled to it. */
  readonly requeued: boolean
  holds(position: number): boolean
}

/** The parts of a backlog. Each line is in order of position. */
export interface BacklogParts {
  readonly returned: Iterable<Entry>
  readonly lines: readonly Fifo<Entry>[]
  readonly gaps: readonly Unread[]
  /** A message that was read as consumers are to see it. */
  presented(stored: StoredMessage): Message
}

/** Some messages from a position on, in order, and the position to go on with; Infinity when that was all. */
export interface Stretch {
  readonly messages: readonly Browsed[]
  readonly next: number
}

/** Looks at a backlog from a position on. `parts` gives the parts as they are at that moment. */
export async function lookAt(parts: () => BacklogParts, from: number): Promise<Stretch> {
  const before = parts()
  const gaps = before.gaps.filter((gap) => gap.count > 0 && gap.below > from)
  const resident = residents(
    before,
    from,
    gaps.reduce((first, gap) => Math.min(first, gap.from), Infinity),
  )
  if (resident.length > 0) return { messages: resident, next: resident.at(-1)!.position + 1 }
  if (gaps.length === 0) return { messages: [], next: Infinity }
  const asked = gaps.map((gap) => ({ gap, from: Math.max(from, gap.from), below: gap.below }))
  const found = await Promise.all(asked.map(({ gap, from: first, below }) => readable(gap, first, below)))
  const pages = found.map(({ messages }) => messages)
  const ends = found.map(({ end }) => end)
  const end = Math.min(...ends)
  // Meanwhile some may have been read into memory, and taken: what is not in the gap any more does not count.
  const after = parts()
  const stored = pages.flatMap((page, i) => {
    const gap = gaps[i]!
    const left = page.filter(({ position }) => position < end && gap.holds(position))
    return left.map((one) => seen(one, after.presented(one), gap.requeued))
  })
  const messages = [...stored, ...residents(after, from, end, Infinity)]
  messages.sort((a, b) => a.position - b.position)
  return { messages, next: end }
}

/** The entry at a position, if it is in memory and ready. */
export function residentAt(parts: BacklogParts, position: number): Entry | undefined {
  for (const line of parts.lines) {
    const entry = line.at(firstFrom(line, position))
    if (entry?.position === position && entry.state === EntryState.ready) return entry
  }
  for (const entry of parts.returned) {
    if (entry.position === position && entry.state === EntryState.ready) return entry
  }
  return undefined
}

/** Reads the next messages of a log, and says where to go on: behind a page that cannot be read, or the last of them. */
async function readable(
  { log }: Unread,
  from: number,
  below: number,
): Promise<{ messages: readonly StoredMessage[]; end: number }> {
  try {
    const messages = await log.read(from, below)
    return { messages, end: messages.length === 0 ? below : messages.at(-1)!.position + 1 }
  } catch (error) {
    if (error instanceof UnreadablePageError) return { messages: [], end: error.page.below }
    throw error
  }
}

function residents(parts: BacklogParts, from: number, below: number, most = LOOK_MAX): Browsed[] {
  const found: Browsed[] = []
  for (const entry of parts.returned) {
    if (entry.position >= from && entry.position < below && entry.state !== EntryState.settled) found.push(shown(entry))
  }
  for (const line of parts.lines) {
    let left = most
    for (let i = firstFrom(line, from); i < line.length && left > 0; i++) {
      const entry = line.at(i)!
      if (entry.position >= below) break
      if (entry.state !== EntryState.ready) continue
      found.push(shown(entry))
      left--
    }
  }
  found.sort((a, b) => a.position - b.position)
  return found.slice(0, most)
}

/** The index of the first entry of a line at this position or behind it. */
export function firstFrom(line: Fifo<Entry>, position: number): number {
  let low = 0
  let high = line.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (line.at(middle)!.position < position) low = middle + 1
    else high = middle
  }
  return low
}

function shown(entry: Entry): Browsed {
  const { position, presented, redelivered, details } = entry
  return {
    position,
    message: presented,
    redelivered,
    deadline: details?.deadline ?? Infinity,
    dueAt: details?.dueAt ?? 0,
  }
}

function seen(stored: StoredMessage, message: Message, requeued: boolean): Browsed {
  const { position, redelivered, deadline, attempts } = stored
  return { position, message, redelivered: redelivered || requeued, deadline, dueAt: attempts?.dueAt ?? 0 }
}
