// What keeps the broker from taking more messages, and who is to be told.

/** A resource that is short. The texts that clients read are made of these (RabbitMQ's words). */
export type Alarm = 'memory' | 'disk'

/** Why an alarm stands: a limit is exceeded, or the store cannot write. */
export type AlarmCause = 'limit' | 'failure'

/** Somebody who publishes: held back while an alarm stands. */
export interface AlarmListener {
  /** An alarm was raised, or another one in its place. The text says which resources are low. */
  blocked(reason: string): void
  /** Every alarm is clear. */
  unblocked(): void
}

/** The alarms that stand, and the publishers that hear of them. */
export class Alarms {
  readonly #causes: Readonly<Record<Alarm, Set<AlarmCause>>> = { memory: new Set(), disk: new Set() }
  readonly #listeners = new Set<AlarmListener>()

  /** Told when an alarm is raised or cleared. */
  watch: (event: 'alarm.set' | 'alarm.cleared', alarm: Alarm) => void = () => undefined

  /** Why this alarm stands; empty when it does not. */
  causes(alarm: Alarm): ReadonlySet<AlarmCause> {
    return this.#causes[alarm]
  }

  /** RabbitMQ's text: `low on memory`, `low on disk`, or `low on memory & disk`; empty when none stands. */
  get reason(): string {
    const names = (['memory', 'disk'] as const).filter((alarm) => this.#causes[alarm].size > 0)
    return names.length === 0 ? '' : `low on ${names.join(' & ')}`
  }

  /** Adds a publisher; it is told at once when an alarm stands. */
  add(listener: AlarmListener): void {
    this.#listeners.add(listener)
    const { reason } = this
    if (reason !== '') listener.blocked(reason)
  }

  /** The publisher is gone. It is told nothing more. */
  delete(listener: AlarmListener): void {
    this.#listeners.delete(listener)
  }

  /** A resource is short, for this cause. Publishers are told when that changes what they know. */
  raise(alarm: Alarm, cause: AlarmCause): void {
    const before = this.reason
    const stood = this.#causes[alarm].size > 0
    this.#causes[alarm].add(cause)
    this.#tell(before)
    if (!stood) this.watch('alarm.set', alarm)
  }

  /** The cause is gone. The alarm stands for as long as there is another. */
  clear(alarm: Alarm, cause: AlarmCause): void {
    const before = this.reason
    const deleted = this.#causes[alarm].delete(cause)
    this.#tell(before)
    if (deleted && this.#causes[alarm].size === 0) this.watch('alarm.cleared', alarm)
  }

  #tell(before: string): void {
    const { reason } = this
    if (reason === before) return
    for (const listener of this.#listeners) {
      if (reason === '') listener.unblocked()
      else listener.blocked(reason)
    }
  }
}
