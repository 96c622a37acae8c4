// What many backlogs that are longer than memory read for the messages that are taken. The limits are the real ones.
import { expect, it } from 'vitest'
import { Message } from '../../../src/core/message.ts'
import type { QueueLog, StoredMessage } from '../../../src/core/ports.ts'
import { Backlog, type BacklogHost } from '../../../src/core/queue/backlog.ts'
import { Entry, footprint } from '../../../src/core/queue/entry.ts'
import { ResidentBudget } from '../../../src/core/queue/resident-budget.ts'
import { queueNamed } from '../../support/core.ts'

const COUNT = 100_000
const BODY_BYTES = 1024
const queue = queueNamed('q')
const facts = { persistent: true, priority: -1, expirationMs: -1, headers: false }
const message = new Message('', 'q', facts, Buffer.alloc(0), 0, 0, Buffer.alloc(BODY_BYTES), 0, BODY_BYTES, true)
const MESSAGE_BYTES = footprint(new Entry(queue, message, 0))

/** A queue as far as its consumer wants something of it. */
class Consumed {
  readonly backlog: Backlog
  wanted = 0
  taken = 0
  read = 0

  constructor(residentBudget: ResidentBudget) {
    const log = {
      recovered: { count: COUNT, bodyBytes: COUNT * BODY_BYTES, first: 0 },
      next: COUNT,
      opened: true,
      recoveredDeadlines: [],
      durableBelow: COUNT,
      read: (from: number, below: number, bytes = 0) => Promise.resolve(this.#page(from, below, bytes)),
    }
    const host = {
      residentBudget,
      restored: (stored: StoredMessage) => new Entry(queue, stored.message, stored.position),
      backlogRead: () => this.#serve(),
    }
    this.backlog = new Backlog(log as unknown as QueueLog, host as unknown as BacklogHost)
  }

  async take(count: number): Promise<void> {
    this.wanted += count
    this.#serve()
    for (let hops = 0; hops < 20; hops++) await Promise.resolve()
  }

  #serve(): void {
    while (this.backlog.available && this.wanted > 0) {
      this.backlog.take()
      this.wanted--
      this.taken++
    }
  }

  #page(from: number, below: number, bytes: number): StoredMessage[] {
    const length = Math.min(below - from, Math.max(100, Math.floor(bytes / MESSAGE_BYTES)))
    this.read += length
    return Array.from({ length }, (_, i) => {
      return { position: from + i, message, redelivered: false, storedAt: 0, deadline: Infinity }
    })
  }
}

it.each([1, 12, 40])(
  '%i backlogs read what is taken of them, and do not drive each other out of memory',
  async (many) => {
    const budget = new ResidentBudget({ tight: false })
    const queues = Array.from({ length: many }, () => new Consumed(budget))
    // Fast, so that all of them want to read far ahead; then one message after the other.
    for (const [rounds, count] of [
      [20, 500],
      [50, 1],
    ] as const) {
      for (let round = 0; round < rounds; round++) for (const each of queues) await each.take(count)
    }
    const [taken, read] = [sum(queues.map((each) => each.taken)), sum(queues.map((each) => each.read))]
    expect(taken).toBe(many * 10_050)
    expect(read).toBeLessThan(taken * 1.5)
  },
)

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
