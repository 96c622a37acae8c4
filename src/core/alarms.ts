// What keeps the broker from taking more messages, and who is to be told.

/** A resource that is short. The texts that clients read are made of these (RabbitMQ's words). */
export type Alarm = 'memory' | 'disk'

/** Somebody who publishes: held back while an alarm stands. */
export interface AlarmListener {
  /** An alarm was raised, or another one in its place. The text says which resources are low. */
  blocked(reason: string): void
  /** Every alarm is clear. */
  unblocked(): void
}

/** The alarms that stand, and the publishers that hear of them. */
export class Alarms {
  readonly #raised = new Set<Alarm>()
  readonly #listeners = new Set<AlarmListener>()

  get raised(): ReadonlySet<Alarm> {
    return this.#raised
  }

  /** RabbitMQ's text: `low on memory`, `low on disk`, or `low on memory & disk`; empty when none stands. */
  get reason(): string {
    const names = (['memory', 'disk'] as const).filter((alarm) => this.#raised.has(alarm))
    return names.length === 0 ? '' : `low on ${names.join(' & ')}`
  }

  /** Adds a publisher; it is told at once when an alarm stands. */
  add(listener: AlarmListener): void {
    this.#listeners.add(listener)
    if (this.#raised.size > 0) listener.blocked(this.reason)
  }

  delete(listener: AlarmListener): void {
    this.#listeners.delete(listener)
  }

  raise(alarm: Alarm): void {
    if (this.#raised.has(alarm)) return
    this.#raised.add(alarm)
    for (const listener of this.#listeners) listener.blocked(this.reason)
  }

  clear(alarm: Alarm): void {
    if (!this.#raised.delete(alarm)) return
    for (const listener of this.#listeners) {
      if (this.#raised.size === 0) listener.unblocked()
      else listener.blocked(this.reason)
    }
  }
}
