// What came of a damaged store.

export interface DamageOutcome {
  readonly seed: number
  /** The file, and the offset of the byte that was changed. */
  readonly where: string
  readonly at: number
  /** What the store told while it served. */
  readonly told: readonly string[]
  /** The sentence with which it refused to be opened, if it did. */
  readonly refused: string | null
  /** How what it held differs from what it held before; null when it does not. */
  readonly difference: string | null
}
