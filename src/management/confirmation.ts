// Waits for the confirm of one publish.
import type { Publisher } from '../core/ports.ts'
import type { Clock } from '../lib/clock.ts'
import { badRequest } from './http-error.ts'

/** How long a publish waits for its confirm, in milliseconds. */
const CONFIRM_MS_MAX = 30_000

/** Waits until every queue has answered one publish. */
export class Confirmation implements Publisher {
  #accepted = 0
  #refused = 0
  #changed: () => void = () => undefined

  accepted(): void {
    this.#accepted++
    this.#changed()
  }

  refused(): void {
    this.#refused++
    this.#changed()
  }

  /** Throws 400 when a queue refuses, or takes too long. */
  async of(reached: number, clock: Clock): Promise<void> {
    if (this.#accepted + this.#refused < reached) {
      await new Promise<void>((resolve, reject) => {
        const late = clock.after(CONFIRM_MS_MAX, () => reject(badRequest('confirm_timeout')))
        this.#changed = () => {
          if (this.#accepted + this.#refused < reached) return
          late.cancel()
          resolve()
        }
      })
    }
    if (this.#refused > 0) throw badRequest('rejected Unable to publish message. Check queue limits.')
  }
}
