// Large bodies that several logs have in common: each is stored once, beside the references that keep it.
import type { Message } from '../../core/message.ts'
import type { StoredMessage } from '../../core/ports.ts'
import { DamagedRecordError } from './bytes.ts'
import type { BackgroundWork, Batch } from './committer.ts'
import { bodyKey, bodyReferenceKey } from './keys.ts'
import { seal, unseal } from './records.ts'
import { RELEASE_SLICE, SHARED_BODY_BYTES } from './tuning.ts'

/** One log's claim to a body. */
export interface BodyReference {
  readonly body: number
  readonly log: number
  readonly position: number
}

/** The bodies that a log's entries have elsewhere, by position. */
export type BodiesOfLog = Map<number, number>

/** References of one log that go because a range of its entries is settled: those that are still to be looked for. */
interface Sweep {
  readonly log: number
  readonly bodies: BodiesOfLog
  readonly positions: Iterator<number>
}

/** What was found of bodies when the store was opened. */
export interface RecoveredBodies {
  /** Those of entries that are not settled. */
  readonly live: readonly BodyReference[]
  /** Those of entries that were settled, and whose deletion did not come about. */
  readonly dead: readonly BodyReference[]
}

/** Whether a message's body is stored apart from its entries: it is large, and more than one log has it. */
export function sharesBody(message: Message): boolean {
  return message.bodyBytes >= SHARED_BODY_BYTES && (message.logs > 1 || message.sharedBody !== 0)
}

/**
 * The shared bodies. A reference is a record of its own, written in the batch of its entry and deleted after the entry is
 * settled; the body goes with the last of them. What a crash leaves of references to settled entries is found at the
 * next start, by the bitmaps of the pages, so the count is never wrong.
 */
export class Bodies implements BackgroundWork {
  /** References that are there, by body: those of settled entries, too, until they are deleted. */
  readonly #references = new Map<number, number>()
  /** References of settled entries, which the next batches delete. */
  #released: BodyReference[] = []
  /** Where in `#released` the next batch goes on. */
  #next = 0
  /** What is behind those, one after the other. */
  readonly #sweeps: Sweep[] = []
  #nextBody = 1

  constructor(recovered: RecoveredBodies) {
    for (const { body } of recovered.live) this.#count(body)
    // Their bodies are counted along, so that they go when their last reference does.
    for (const reference of recovered.dead) {
      this.#count(reference.body)
      this.#released.push(reference)
    }
  }

  get waiting(): boolean {
    return this.#released.length > 0 || this.#sweeps.length > 0
  }

  /** Puts a reference into a batch, and the body if it is not there yet. Returns the body's number. */
  share(batch: Batch, message: Message, log: number, position: number): number {
    let body = message.sharedBody
    if (body === 0 || !this.#references.has(body)) {
      body = this.#nextBody++
      message.sharedBody = body
      batch.put(bodyKey(body), seal(message.body.subarray(message.bodyStart, message.bodyEnd)))
    }
    batch.put(bodyReferenceKey({ body, log, position }), NOTHING)
    this.#count(body)
    return body
  }

  /** The entry of a reference is settled. */
  release(reference: BodyReference): void {
    this.#released.push(reference)
  }

  /**
   * The entries of a log from one position to below another are settled, as many as they are: batches look through what
   * the log knows of bodies, a slice each, and take out of it what goes. What is added meanwhile is above the range.
   */
  releaseWithin(log: number, bodies: BodiesOfLog, from: number, below: number): void {
    this.#sweeps.push({ log, bodies, positions: knownWithin(bodies, from, below) })
  }

  contribute(batch: Batch): void {
    let left = RELEASE_SLICE
    for (; left > 0 && this.#next < this.#released.length; left--) this.#delete(batch, this.#released[this.#next++]!)
    if (this.#next === this.#released.length) {
      this.#released = []
      this.#next = 0
    }
    for (; left > 0 && this.#sweeps.length > 0; left--) this.#sweep(batch)
  }

  /** Looks at one position of the first sweep. */
  #sweep(batch: Batch): void {
    const { log, bodies, positions } = this.#sweeps[0]!
    const { done, value: position } = positions.next()
    if (done === true) {
      this.#sweeps.shift()
      return
    }
    const body = bodies.get(position)
    if (body === undefined) return
    bodies.delete(position)
    this.#delete(batch, { body, log, position })
  }

  #delete(batch: Batch, reference: BodyReference): void {
    batch.del(bodyReferenceKey(reference))
    const left = this.#references.get(reference.body)! - 1
    if (left > 0) this.#references.set(reference.body, left)
    else {
      this.#references.delete(reference.body)
      batch.del(bodyKey(reference.body))
    }
  }

  committed(): void {
    // Nothing waits for a deletion.
  }

  #count(body: number): void {
    this.#references.set(body, (this.#references.get(body) ?? 0) + 1)
    // Above every number that is in use: a body that is being deleted must not be taken for a new one.
    this.#nextBody = Math.max(this.#nextBody, body + 1)
  }
}

const NOTHING = Buffer.alloc(0)

/** The positions of a range, or those that are known, whichever are fewer; -1 for each of these that is not in the range. */
function* knownWithin(bodies: BodiesOfLog, from: number, below: number): Generator<number, undefined> {
  if (below - from < bodies.size) for (let position = from; position < below; position++) yield position
  else for (const position of bodies.keys()) yield position >= from && position < below ? position : -1
}

/** The body of so many bytes that a value holds. Throws DamagedRecordError when it is not what was written. */
export function decodeBody(value: Buffer | undefined, bodyBytes: number): Buffer {
  if (value === undefined) throw new DamagedRecordError('a body is missing')
  const body = unseal(value)
  if (body.length !== bodyBytes) throw new DamagedRecordError('a body has the wrong length')
  return body
}

/** The keys of the bodies that these messages have elsewhere, one for each message that has. */
export function bodiesOf(messages: readonly StoredMessage[]): StoredMessage[] {
  return messages.filter(({ message }) => message.sharedBody !== 0 && message.body.length === 0)
}
