// When a number that only grows had reached which value, known from looking at it now and then.

/** Marks that are kept; when there are more, every second one goes, and the past is known less exactly. */
const MARKS_MAX = 64

/** One number's past: whoever counts pays nothing for it, and it takes little memory however long that is. */
export class TimeMarks {
  readonly #values: number[] = []
  readonly #times: number[] = []

  /** The number stands at `value` now; nobody will ask for values below `from` any more. */
  note(value: number, from: number, now: number): void {
    let gone = 0
    while (gone < this.#values.length && this.#values[gone]! <= from) gone++
    this.#values.splice(0, gone)
    this.#times.splice(0, gone)
    if (value <= Math.max(from, this.#values.at(-1) ?? 0)) return
    this.#values.push(value)
    this.#times.push(now)
    if (this.#values.length > MARKS_MAX) this.#thin()
  }

  /** When the number was first seen above this value; null when it has not been yet. */
  passed(value: number): number | null {
    const index = this.#values.findIndex((mark) => mark > value)
    return index < 0 ? null : this.#times[index]!
  }

  #thin(): void {
    for (let i = this.#values.length - 2; i >= 0; i -= 2) {
      this.#values.splice(i, 1)
      this.#times.splice(i, 1)
    }
  }
}
