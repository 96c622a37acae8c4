// The last errors that closed channels and connections, by user: what a client's developer asks for first.
import { forgetOldest } from '../lib/forget-oldest.ts'

/** One channel or connection that was closed for a reason. */
export interface ErrorReport {
  readonly scope: 'channel' | 'connection'
  /** Whose it was; null before anybody had logged in. */
  readonly user: string | null
  readonly vhost: string | null
  /** The connection's name: `peer host:port -> own host:port`. */
  readonly connection: string
  /** The channel's number; null when the connection was closed. */
  readonly channel: number | null
  /** The code that the client was told; null when it was told nothing. */
  readonly code: number | null
  /** The text that the client was told, or, where it was told nothing, what the log says. */
  readonly text: string
  /** Milliseconds since 1970. */
  readonly time: number
}

/** What is kept of one user, so that a busy one does not push out the others. */
const REPORTS_PER_USER_MAX = 32
/** Users of whom something is kept; the one who has been quiet for longest makes room. */
const USERS_MAX = 256

/** Keeps a bounded number of reports in memory. Front ends report; whoever watches reads. */
export class RecentErrors {
  /** Oldest report first; the user of the latest report comes last. */
  readonly #byUser = new Map<string | null, ErrorReport[]>()

  report(report: ErrorReport): void {
    const { user } = report
    const reports = this.#byUser.get(user) ?? []
    if (reports.length === REPORTS_PER_USER_MAX) reports.shift()
    reports.push(report)
    this.#byUser.delete(user)
    this.#byUser.set(user, reports)
    if (this.#byUser.size > USERS_MAX) forgetOldest(this.#byUser)
  }

  /** The reports about a user, the latest first; with null those from before a login. */
  of(user: string | null): readonly ErrorReport[] {
    return (this.#byUser.get(user) ?? []).toReversed()
  }

  /** All reports, the latest first. */
  all(): readonly ErrorReport[] {
    return [...this.#byUser.values()].flat().toSorted((one, other) => other.time - one.time)
  }

  /** Forgets a user who was deleted. */
  userDeleted(user: string): void {
    this.#byUser.delete(user)
  }
}
