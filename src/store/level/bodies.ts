// Large bodies that several logs have in common: each is stored once, and beside it how many entries have it.
import type { Message } from '../../core/message.ts'
import type { StoredMessage } from '../../core/ports.ts'
import { DamagedRecordError } from './bytes.ts'
import type { Batch, BatchEnding } from './committer.ts'
import type { Deleted } from './compactor.ts'
import { BLOCK_BODIES, FIRST_BODY, Kind, blockOfBody, bodyBlockKey, bodyKey, kindKey } from './keys.ts'
import { Elsewhere, type Page } from './page.ts'
import { encodeBlock, encodeNumber, seal, unseal, type BlockRecord } from './records.ts'
import { BODY_BLOCKS_MAX, NEXT_BODY_AHEAD, PAGE_BODIES_KNOWN_MAX, SHARED_BODY_BYTES } from './tuning.ts'

/** Neighbouring bodies, whose counts are one record: as many as BLOCK_BODIES. */
interface Block extends BlockRecord {
  readonly number: number
  /** Bodies that are counted at all. */
  counted: number
  /** How much the store had written when it got its first, in MiB; 0 when that was long ago. */
  readonly writtenMiB: number
  /** Whether its record is to be written with the batch that is being put together. */
  changed: boolean
}

/** A block none of whose bodies is there any more. */
export interface EmptyBlock extends Deleted {
  /** How much the store had written before it and since then, in MiB. */
  readonly ageMiB: number
}

/** Whether a message's body is stored apart from its entries: it is large, and more than one log has it. */
export function sharesBody(message: Message): boolean {
  return message.bodyBytes >= SHARED_BODY_BYTES && (message.logs > 1 || message.sharedBody !== 0)
}

/**
 * The shared bodies, each under a number that no other has or had. An entry is counted in the batch that stores it, and no
 * longer in that which deletes its page (see `Remains`), be it settled long before; the body goes with the last of them.
 *
 * Counts are in memory for a while; the others are as many as the disk has room for, and are read when a page goes. A body
 * whose count is not in memory gets no further entries: a message that comes to another log is stored anew.
 */
export class Bodies implements BatchEnding {
  /** Counts that are in memory, from the oldest on. */
  readonly #blocks = new Map<number, Block>()
  #changed: Block[] = []
  readonly #emptied: EmptyBlock[] = []
  /** Blocks that must stay in memory. */
  #held: ReadonlySet<number> = new Set()
  /** Pages whose bodies are in memory, from the oldest on, and how many bodies those are. */
  readonly #pages = new Set<Page>()
  #pageBodies = 0
  #next: number
  /** What the record says that numbers are below. */
  #recorded: number
  readonly #damaged: (damage: Error) => void

  /** `next`: above every number that a body has or had. */
  constructor(next: number, damaged: (damage: Error) => void) {
    // A block that was begun before the start is not gone on with.
    this.#next = this.#recorded = Math.ceil(Math.max(next, FIRST_BODY) / BLOCK_BODIES) * BLOCK_BODIES
    this.#damaged = damaged
  }

  /** A message comes to a log: the body that it has elsewhere is of no use if nobody knows how long that stays. */
  admit(message: Message): void {
    if (message.sharedBody !== 0 && !this.#isCounted(message.sharedBody)) message.sharedBody = 0
  }

  /** Counts an entry of a page, and puts the body into a batch if it is not there yet. Returns the body's number. */
  share(batch: Batch, message: Message, page: Page): number {
    if (!this.#isCounted(message.sharedBody)) this.#store(batch, message)
    const body = message.sharedBody
    const block = this.#blocks.get(blockOfBody(body))!
    if (block.counts[body % BLOCK_BODIES]!++ === 0) block.counted++
    this.#change(batch, block)
    this.#note(page, body)
    return body
  }

  /** An entry that has this body is deleted with a batch, and the body if it was the last. Its count is in memory. */
  release(batch: Batch, body: number): void {
    const block = this.#blocks.get(blockOfBody(body))
    const count = block?.counts[body % BLOCK_BODIES] ?? 0
    if (block === undefined || count === 0) {
      this.#damaged(new Error(`body ${body} belonged to more messages than were counted`))
      return
    }
    this.#change(batch, block)
    block.counts[body % BLOCK_BODIES] = count - 1
    if (count > 1) return
    block.counted--
    batch.del(bodyKey(body))
  }

  /** The same for all entries of a page, if what they have is in memory. Returns whether it is. */
  releasePage(batch: Batch, page: Page): boolean {
    const { bodies } = page
    if (bodies === null || bodies.some((body) => !this.#blocks.has(blockOfBody(body)))) return false
    for (const body of bodies) this.release(batch, body)
    this.forgetPage(page)
    return true
  }

  /** A page is of no use any more, or has more bodies than are to be in memory. */
  forgetPage(page: Page): void {
    if (page.bodies === null) return
    this.#pageBodies -= page.bodies.length
    page.bodies = null
    this.#pages.delete(page)
  }

  /** Has these blocks in memory until it is called again. Returns those that are not there, and must be read. */
  hold(blocks: ReadonlySet<number>): number[] {
    this.#held = blocks
    return [...blocks].filter((block) => !this.#blocks.has(block))
  }

  /** A block was read. */
  recall(number: number, { counts, bytes }: BlockRecord): void {
    const counted = counts.filter((count) => count > 0).length
    this.#blocks.set(number, { number, counts, counted, bytes, writtenMiB: 0, changed: false })
  }

  /** The blocks that have lost their last body since this was called. */
  takeEmptied(): EmptyBlock[] {
    return this.#emptied.splice(0)
  }

  /** Whether no body is counted, as far as counts are in memory. */
  get none(): boolean {
    for (const { counted } of this.#blocks.values()) if (counted > 0) return false
    return true
  }

  /** Writes the counts that have changed with a batch, and forgets the oldest. */
  finish(batch: Batch): void {
    const open = blockOfBody(this.#next)
    for (const block of this.#changed) {
      block.changed = false
      if (block.counted > 0) batch.put(bodyBlockKey(block.number), encodeBlock(block))
      else {
        batch.del(bodyBlockKey(block.number))
        if (block.number !== open) this.#empty(batch, block)
      }
    }
    this.#changed = []
    for (const number of this.#blocks.keys()) {
      if (this.#blocks.size <= BODY_BLOCKS_MAX) break
      if (number !== open && !this.#held.has(number)) this.#blocks.delete(number)
    }
  }

  #empty(batch: Batch, { number, bytes, writtenMiB }: Block): void {
    this.#blocks.delete(number)
    const first = number * BLOCK_BODIES
    this.#emptied.push({ first, last: first + BLOCK_BODIES - 1, bytes, ageMiB: batch.writtenMiB - writtenMiB })
  }

  /** Whether further entries may have it. One of an older format none may: a page does not tell new ones from those of then. */
  #isCounted(body: number): boolean {
    if (body < FIRST_BODY) return false
    const block = this.#blocks.get(blockOfBody(body))
    return block !== undefined && block.counts[body % BLOCK_BODIES]! > 0
  }

  #store(batch: Batch, message: Message): void {
    const body = this.#next++
    message.sharedBody = body
    batch.put(bodyKey(body), seal(message.body.subarray(message.bodyStart, message.bodyEnd)))
    if (this.#next > this.#recorded) {
      this.#recorded = this.#next + NEXT_BODY_AHEAD
      batch.put(kindKey(Kind.nextBody), encodeNumber(this.#recorded))
    }
    const block = this.#blocks.get(blockOfBody(body)) ?? this.#begin(batch, blockOfBody(body))
    block.bytes += message.bodyBytes
  }

  #begin(batch: Batch, number: number): Block {
    const counts = new Array<number>(BLOCK_BODIES).fill(0)
    const block = { number, counts, counted: 0, bytes: 0, writtenMiB: batch.writtenMiB, changed: false }
    this.#blocks.set(number, block)
    return block
  }

  #change(batch: Batch, block: Block): void {
    if (block.changed) return
    block.changed = true
    this.#changed.push(block)
    batch.endings.add(this)
  }

  #note(page: Page, body: number): void {
    // Once they are forgotten, the page is to be read.
    if ((page.elsewhere & Elsewhere.bodies) === 0) {
      page.elsewhere |= Elsewhere.bodies
      page.bodies = []
      this.#pages.add(page)
    }
    if (page.bodies === null) return
    page.bodies.push(body)
    if (++this.#pageBodies > PAGE_BODIES_KNOWN_MAX) this.forgetPage(this.#pages.values().next().value!)
  }
}

/** The body of so many bytes that a value holds. Throws DamagedRecordError when it is not what was written. */
export function decodeBody(value: Buffer | undefined, bodyBytes: number): Buffer {
  if (value === undefined) throw new DamagedRecordError('a body is missing')
  const body = unseal(value)
  if (body.length !== bodyBytes) throw new DamagedRecordError('a body has the wrong length')
  return body
}

/** The messages of these whose bodies are elsewhere, and still to be read. */
export function bodiesOf(messages: readonly StoredMessage[]): StoredMessage[] {
  return messages.filter(({ message }) => message.sharedBody !== 0 && message.body.length === 0)
}
