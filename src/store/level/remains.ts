// What pages leave elsewhere when they are deleted: how often messages were tried, and shared bodies.
import { DamagedRecordError } from './bytes.ts'
import type { Bodies } from './bodies.ts'
import type { Committer } from './committer.ts'
import { visitBodies } from './fragment.ts'
import { FIRST_BODY, Kind, blockOfBody, bodyBlockKey, positionKey } from './keys.ts'
import { Elsewhere, fragmentKeys, type Page } from './page.ts'
import type { Reader } from './reader.ts'
import { decodeBlock, type BlockRecord } from './records.ts'

/** A page that is to be deleted, none of whose entries is wanted any more. */
export interface DeadPage {
  readonly log: number
  readonly page: Page
}

/** What a page has elsewhere. */
export interface Remainder {
  /** The keys of records that are its own. */
  readonly keys: readonly Buffer[]
  /** The bodies of its entries, whose counts are in memory. */
  readonly bodies: readonly number[]
}

/** What was looked for. */
export interface Found {
  /** What there is, of those pages of which the disk gave all. */
  readonly remainders: Map<Page, Remainder>
  /** Why it did not give all of the others; null when there are none. */
  readonly trouble: Error | null
}

/** Blocks that are read at once: each through an iterator. */
const BLOCKS_AT_ONCE = 16

function* inGroups(numbers: readonly number[], size: number): Generator<readonly number[]> {
  for (let from = 0; from < numbers.length; from += size) yield numbers.slice(from, from + size)
}

/** Looks for what pages have elsewhere. */
export class Remains {
  readonly #committer: Committer
  readonly #reader: Reader
  readonly #bodies: Bodies
  readonly #damaged: (damage: Error) => void
  /** Why the disk did not give something, the first of it. */
  #unread: Error | null = null

  constructor(committer: Committer, reader: Reader, bodies: Bodies, damaged: (damage: Error) => void) {
    this.#committer = committer
    this.#reader = reader
    this.#bodies = bodies
    this.#damaged = damaged
  }

  /**
   * What these pages have elsewhere, but for those of which the disk does not give all now. The counts of their bodies are
   * in memory as long as they are held there. Where the database finds damage, that is reported, and what is there stays for
   * good: a body that may be wanted is not deleted. Rejects with the database's error when it is closed.
   */
  async of(pages: readonly DeadPage[]): Promise<Found> {
    this.#unread = null
    // What the batch in flight writes is to be found.
    await this.#committer.settled()
    const found = new Map<Page, Remainder>()
    await Promise.all(
      pages.map(async (dead) => {
        const remainder = await this.#unlessUnread(() => this.#remainderOf(dead))
        if (remainder !== null) found.set(dead.page, remainder)
      }),
    )
    const blocks = new Set([...found.values()].flatMap(({ bodies }) => bodies.map(blockOfBody)))
    const { lost, unread } = await this.#count(blocks)
    for (const [page, { keys, bodies }] of found) {
      if (bodies.some((body) => unread.has(blockOfBody(body)))) found.delete(page)
      else if (lost.size > 0) found.set(page, { keys, bodies: bodies.filter((body) => !lost.has(blockOfBody(body))) })
    }
    return { remainders: found, trouble: this.#unread }
  }

  /** What a reading gives; null when the disk does not give it now. */
  async #unlessUnread<T>(read: () => Promise<T>): Promise<T | null> {
    try {
      return await read()
    } catch (error) {
      if ((error as { code?: string }).code !== 'LEVEL_IO_ERROR') throw error
      this.#unread ??= error as Error
      return null
    }
  }

  async #remainderOf({ log, page }: DeadPage): Promise<Remainder> {
    const keys = page.elsewhere & Elsewhere.attempts ? await this.#attemptsOf(log, page) : []
    const bodies = page.elsewhere & Elsewhere.bodies ? await this.#bodiesOf(log, page) : []
    return { keys, bodies }
  }

  /** The keys of what is known of a page's messages that were tried. */
  async #attemptsOf(log: number, page: Page): Promise<Buffer[]> {
    const gte = positionKey(Kind.attempts, log, page.first)
    const lt = positionKey(Kind.attempts, log, page.last + 1)
    const records = await this.#unlessDamaged(() => this.#reader.records({ gte, lt }), [])
    return records.map(([key]) => key)
  }

  /** The bodies of a page's entries, be these settled or not, as its fragments tell them. */
  async #bodiesOf(log: number, page: Page): Promise<readonly number[]> {
    if (page.bodies !== null) return page.bodies
    const bodies: number[] = []
    const least = page.elsewhere & Elsewhere.olderBodies ? 1 : FIRST_BODY
    const note = (body: number): void => {
      if (body >= least) bodies.push(body)
    }
    const keys = fragmentKeys(log, page)
    const values = await this.#unlessDamaged(() => this.#reader.values(keys, page.serial), [])
    values.forEach((value, i) => {
      const damage =
        value === undefined
          ? { error: new DamagedRecordError('a fragment is missing') }
          : visitBodies(value, page.fragments?.[i] ?? page.first, note)
      if (damage !== null) this.#leaveBehind(damage.error)
    })
    return bodies
  }

  /** Has the counts of these blocks in memory. Returns those whose counts are lost, and those that cannot be read now. */
  async #count(blocks: ReadonlySet<number>): Promise<{ lost: Set<number>; unread: Set<number> }> {
    const [lost, unread] = [new Set<number>(), new Set<number>()]
    const missing = this.#bodies.hold(blocks)
    // Since they are not in memory they do not change; what changed them last may be in the batch in flight.
    if (missing.length > 0) await this.#committer.settled()
    for (const some of inGroups(missing, BLOCKS_AT_ONCE)) {
      const found = await Promise.all(some.map((block) => this.#unlessUnread(() => this.#read(block))))
      some.forEach((block, i) => {
        const record = found[i]!
        if (record === null) unread.add(block)
        else if (record === 'lost') lost.add(block)
        else this.#bodies.recall(block, record)
      })
    }
    return { lost, unread }
  }

  /** What the disk has of a block: it is written again and again, so it is not looked up (see `mergedKey`). */
  async #read(block: number): Promise<BlockRecord | 'lost'> {
    const range = { gte: bodyBlockKey(block), lt: bodyBlockKey(block + 1) }
    const records = await this.#unlessDamaged(() => this.#reader.records(range), null)
    if (records === null) return 'lost'
    try {
      return decodeBlock(records[0]?.[1])
    } catch (error) {
      if (!(error instanceof DamagedRecordError)) throw error
      this.#leaveBehind(error)
      return 'lost'
    }
  }

  /** What a reading gives, or something else when the database finds its own bytes damaged. */
  async #unlessDamaged<T, U>(read: () => Promise<T>, otherwise: U): Promise<T | U> {
    try {
      return await read()
    } catch (error) {
      if ((error as { code?: string }).code !== 'LEVEL_CORRUPTION') throw error
      this.#leaveBehind(error as Error)
      return otherwise
    }
  }

  #leaveBehind(cause: Error): void {
    this.#damaged(new Error(`what deleted messages had is damaged, and stays: ${cause.message}`, { cause }))
  }
}
