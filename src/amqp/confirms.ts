// Publisher confirms of one channel: which publishes are safe, told to the client once a turn.
import { Stage, type Turn, type TurnTask } from '../lib/turn.ts'
import type { MessageCounts } from '../core/counts.ts'
import type { Passages } from '../core/passages.ts'
import type { Publisher } from '../core/ports.ts'
import { ConfirmedPassages } from './confirmed-passages.ts'
import type { FrameOutput } from './wire/frame-writer.ts'
import { writeBasicAck, writeBasicNack } from './wire/generated.ts'

/** Added to a publish that a queue refused; far above any number of queues. */
const REFUSED = 2 ** 31
const COMPACT_FROM = 4096

/**
 * Counts, for each publish since confirm.select, the queues that have not answered yet. At the end of the turn the
 * answered ones from the front leave as one acknowledgement (multiple); a refused one leaves by itself, in its place.
 */
export class Confirms implements Publisher, TurnTask {
  readonly #turn: Turn
  readonly #out: FrameOutput
  readonly #channel: number
  readonly #counts: MessageCounts
  readonly #publishes: Passages
  readonly #passages = new ConfirmedPassages()
  /** Outstanding answers by sequence, from `#base` on; those before `#head` have been told. */
  #pending: number[] = []
  #head = 0
  #base = 1
  #enlisted = false
  #closed = false

  constructor(turn: Turn, out: FrameOutput, channel: number, counts: MessageCounts, publishes: Passages) {
    this.#turn = turn
    this.#out = out
    this.#channel = channel
    this.#counts = counts
    this.#publishes = publishes
  }

  /** Publishes that were not answered yet. */
  get outstanding(): number {
    return this.#pending.length - this.#head
  }

  /** The number of the publish that begins, and was counted among the publishes of its channel. RabbitMQ: the first after confirm.select is 1. */
  begin(): number {
    const sequence = this.#base + this.#pending.push(0) - 1
    this.#passages.begin(sequence, this.#publishes.last!)
    return sequence
  }

  /** The publish is through: it reached so many queues, some of which may have answered meanwhile. */
  finish(sequence: number, reached: number): void {
    const index = sequence - this.#base
    const pending = this.#pending[index]! + reached
    this.#pending[index] = pending
    if ((pending === 0 || pending >= REFUSED) && !this.#enlisted) this.#enlist()
  }

  accepted(sequence: number): void {
    const index = sequence - this.#base
    this.#pending[index]!--
    if (index === this.#head && !this.#enlisted) this.#enlist()
  }

  refused(sequence: number): void {
    const index = sequence - this.#base
    const pending = this.#pending[index]! - 1
    this.#pending[index] = pending >= REFUSED / 2 ? pending : pending + REFUSED
    if (!this.#enlisted) this.#enlist()
  }

  /** The channel is gone: nothing more is told (RabbitMQ: outstanding tags get neither ack nor nack). */
  close(): void {
    this.#closed = true
  }

  runStage(): void {
    this.#enlisted = false
    if (this.#closed) return
    const pending = this.#pending
    let head = this.#head
    let acknowledged = head
    for (; head < pending.length; head++) {
      const outstanding = pending[head]!
      if (outstanding === 0) continue
      if (outstanding !== REFUSED) break
      this.#acknowledge(acknowledged, head)
      writeBasicNack(this.#out, this.#channel, this.#base + head, false, true)
      acknowledged = head + 1
    }
    this.#acknowledge(acknowledged, head)
    this.#head = head
    if (head === pending.length || (head > COMPACT_FROM && head > pending.length >> 1)) {
      this.#base += head
      this.#pending = head === pending.length ? [] : pending.slice(head)
      this.#head = 0
    }
  }

  #acknowledge(from: number, below: number): void {
    if (below === from) return
    this.#counts.confirmed += below - from
    this.#passages.confirm(this.#base + from, this.#base + below)
    writeBasicAck(this.#out, this.#channel, this.#base + below - 1, below - from > 1)
  }

  #enlist(): void {
    this.#enlisted = true
    this.#turn.enlist(Stage.confirm, this)
  }
}
