// The deliveries of a channel that wait for an acknowledgement, in order of their tags.
import type { Entry } from '../core/queue/entry.ts'
import type { ChannelConsumer } from './consumer.ts'
import { RECLAIMED_TAGS_MAX, UNACKED_KEPT, UNACKED_MORE } from './limits.ts'
import type { SettledDelivery } from './transaction.ts'

/** Sees a delivery that was taken out. */
export type UnackedVisitor = (entry: Entry, consumer: ChannelConsumer | null, tag: number) => void

const COMPACT_FROM = 1024

/**
 * A window over delivery tags:
 *
 *     tags     [ .  .  7  8  9  12  13 ]      head points at 7, tail behind 13; 9 may be a hole (settled out of order)
 *     entries  [ .  .  a  b  -  c   d  ]
 *
 * Tags grow, so a tag is found by binary search, and most often at the head. A window that was emptied starts again at
 * the front of the same arrays: where one delivery is out at a time, arrays of its own would be most of its garbage.
 */
export class Unacked {
  #tags: number[] = []
  #entries: (Entry | null)[] = []
  /** Who each was delivered to; null for basic.get. */
  #consumers: (ChannelConsumer | null)[] = []
  #head = 0
  #tail = 0
  #live = 0
  #got = 0
  /** Up to here their queues were asked to let go of what is on disk. */
  #released = 0
  /** Whether everything is kept, for the sake of who is told of what is settled. */
  keepsAll = false
  /** Tags of deliveries that were reclaimed. */
  readonly #reclaimed = new Set<number>()

  /** Deliveries that are outstanding. */
  get count(): number {
    return this.#live
  }

  /** Those of them that went to a consumer, not to basic.get. */
  get consumedCount(): number {
    return this.#live - this.#got
  }

  /** And those that went to basic.get. */
  get gotCount(): number {
    return this.#got
  }

  /** The lowest tag that is outstanding. */
  get first(): number | undefined {
    return this.#head < this.#tail ? this.#tags[this.#head] : undefined
  }

  /** A delivery is outstanding. Its tag is higher than every one before. */
  add(tag: number, entry: Entry, consumer: ChannelConsumer | null): void {
    const at = this.#tail++
    this.#tags[at] = tag
    this.#entries[at] = entry
    this.#consumers[at] = consumer
    this.#live++
    if (consumer === null) this.#got++
    if (at - this.#released > UNACKED_KEPT + UNACKED_MORE) this.#release(at - UNACKED_KEPT)
  }

  /**
   * Takes out one delivery, or all up to its tag. Returns false when the tag is not outstanding (nothing is taken
   * then). Tag 0 with `multiple` stands for all (AMQP 0-9-1, basic.ack). One that was reclaimed may be settled once, in
   * vain.
   */
  take(tag: number, multiple: boolean, visit: UnackedVisitor): boolean {
    if (multiple && tag === 0) {
      this.#takeUpTo(this.#tail - 1, visit)
      return true
    }
    const index = this.#find(tag)
    if (index < 0) {
      if (!this.#reclaimed.delete(tag)) return false
      if (multiple) this.#takeUpTo(this.#lastBelow(tag), visit)
      return true
    }
    if (multiple) {
      this.#takeUpTo(index, visit)
      return true
    }
    const entry = this.#entries[index]!
    const consumer = this.#consumers[index]!
    this.#entries[index] = null
    this.#consumers[index] = null
    this.#live--
    if (consumer === null) this.#got--
    if (index === this.#head) this.#advance()
    else if (this.#live < (this.#tail - this.#head) >> 1) this.#compact()
    visit(entry, consumer, tag)
    return true
  }

  /** Takes out a delivery that is outstanding, though nobody has settled it: because it took too long. */
  reclaim(tag: number, visit: UnackedVisitor): void {
    this.take(tag, false, visit)
    this.#reclaimed.add(tag)
    if (this.#reclaimed.size <= RECLAIMED_TAGS_MAX) return
    for (const oldest of this.#reclaimed) {
      this.#reclaimed.delete(oldest)
      return
    }
  }

  /** Puts deliveries back that were taken out: their tags are outstanding again, in their order. */
  restore(deliveries: readonly SettledDelivery[]): void {
    const all: Pick<SettledDelivery, 'tag' | 'entry' | 'consumer'>[] = [...deliveries]
    this.take(0, true, (entry, consumer, tag) => all.push({ tag, entry, consumer }))
    all.sort((a, b) => a.tag - b.tag)
    for (const { tag, entry, consumer } of all) this.add(tag, entry, consumer)
  }

  /** Visits what is outstanding, oldest first. */
  each(visit: (tag: number, entry: Entry, consumer: ChannelConsumer | null) => void): void {
    for (let i = this.#head; i < this.#tail; i++) {
      const entry = this.#entries[i]!
      if (entry !== null) visit(this.#tags[i]!, entry, this.#consumers[i]!)
    }
  }

  /** Visits what is outstanding below a tag, oldest first. */
  eachBelow(below: number, visit: (tag: number, entry: Entry, consumer: ChannelConsumer | null) => void): void {
    for (let i = this.#head; i < this.#tail && this.#tags[i]! < below; i++) {
      const entry = this.#entries[i]!
      if (entry !== null) visit(this.#tags[i]!, entry, this.#consumers[i]!)
    }
  }

  /** Has the queues let go of what is on disk of those before an index, as far as it is. */
  #release(below: number): void {
    if (this.keepsAll) return
    let i = Math.max(this.#released, this.#head)
    for (; i < below; i++) {
      const entry = this.#entries[i]!
      if (entry !== null && !entry.queue.release(entry)) break
    }
    this.#released = i
  }

  #find(tag: number): number {
    const tags = this.#tags
    let low = this.#head
    let high = this.#tail - 1
    if (low <= high && tags[low] === tag) return this.#entries[low] === null ? -1 : low
    while (low <= high) {
      const middle = (low + high) >> 1
      const at = tags[middle]!
      if (at === tag) return this.#entries[middle] === null ? -1 : middle
      if (at < tag) low = middle + 1
      else high = middle - 1
    }
    return -1
  }

  /** The index of the last tag below this one, outstanding or not. */
  #lastBelow(tag: number): number {
    let index = this.#tail - 1
    while (index >= this.#head && this.#tags[index]! >= tag) index--
    return index
  }

  #takeUpTo(last: number, visit: UnackedVisitor): void {
    for (let i = this.#head; i <= last; i++) {
      const entry = this.#entries[i]!
      if (entry === null) continue
      const consumer = this.#consumers[i]!
      this.#entries[i] = null
      this.#consumers[i] = null
      this.#live--
      if (consumer === null) this.#got--
      visit(entry, consumer, this.#tags[i]!)
    }
    this.#head = Math.max(this.#head, last + 1)
    this.#advance()
  }

  #advance(): void {
    const entries = this.#entries
    while (this.#head < this.#tail && entries[this.#head] === null) this.#head++
    if (this.#head === this.#tail) {
      if (entries.length > COMPACT_FROM) this.#clear()
      this.#head = 0
      this.#tail = 0
      this.#released = 0
    } else if (this.#head >= COMPACT_FROM && this.#head > this.#tail >> 1) {
      this.#compact()
    }
  }

  /** Moves what is outstanding to the front: of the same arrays, unless these have become much too large. */
  #compact(): void {
    if (this.#tail < COMPACT_FROM) return
    const [tags, entries, consumers] = [this.#tags, this.#entries, this.#consumers]
    if (this.#live < entries.length >> 3) this.#clear()
    let to = 0
    let released = 0
    for (let i = this.#head; i < this.#tail; i++) {
      const entry = entries[i]!
      if (entry === null) continue
      if (i < this.#released) released++
      this.#tags[to] = tags[i]!
      this.#entries[to] = entry
      this.#consumers[to++] = consumers[i]!
    }
    if (this.#entries === entries) {
      entries.fill(null, to, this.#tail)
      consumers.fill(null, to, this.#tail)
    }
    this.#head = 0
    this.#tail = to
    this.#released = released
  }

  #clear(): void {
    this.#tags = []
    this.#entries = []
    this.#consumers = []
  }
}
