// Messages of one log that wait before they are delivered again, and are on disk only.
import type { QueueLog } from '../ports.ts'
import { DuePositions } from './due-positions.ts'
import { PositionSet } from './position-set.ts'
import type { UnreadMessage } from './returned.ts'

/** When each is due, and which of them still wait. */
export class UnreadRetries {
  readonly log: QueueLog
  readonly requeued = true
  readonly due = new DuePositions()
  /** Those that still wait: some of them may have been taken out before their time. */
  readonly #positions = new PositionSet()
  /** Above every position that was ever among them. */
  below = 0

  constructor(log: QueueLog) {
    this.log = log
  }

  get count(): number {
    return this.#positions.size
  }

  get from(): number {
    return this.#positions.first
  }

  holds(position: number): boolean {
    return this.#positions.has(position)
  }

  add(dueAt: number, unread: UnreadMessage): void {
    this.due.push(dueAt, unread)
    this.#positions.add(unread.position)
    this.below = Math.max(this.below, unread.position + 1)
  }

  /** Returns whether it was among them. */
  delete(position: number): boolean {
    return this.#positions.delete(position)
  }

  clear(): void {
    this.#positions.clear()
  }
}
