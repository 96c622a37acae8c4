// Logins that succeeded a moment ago, so that a client that reconnects is not hashed again.
import { createHmac, randomBytes } from 'node:crypto'
import type { Clock } from '../../lib/clock.ts'
import { forgetOldest } from '../../lib/forget-oldest.ts'
import type { Password } from './password.ts'

/** How long a login is remembered: a storm of reconnects is over by then, and little is kept for little time. */
const REMEMBERED_MS = 60_000
/** How many are remembered; the oldest makes room. */
const REMEMBERED_MAX = 10_000

/** Remembers logins by a keyed digest: what lies in memory is of no use without the key, which dies with the process. */
export class RecentLogins<Account extends object> {
  readonly #clock: Clock
  readonly #key = randomBytes(32)
  readonly #logins = new Map<string, { readonly account: Account; readonly until: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** What stands for this name and password, here and nowhere else. */
  digest(name: string, password: Password): string {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(Buffer.byteLength(name))
    return createHmac('sha256', this.#key).update(length).update(name).update(password).digest('base64')
  }

  /** Whether this digest logged in lately as this very account; one that was changed since is another. */
  has(digest: string, account: Account): boolean {
    const login = this.#logins.get(digest)
    if (!login) return false
    if (login.account === account && this.#clock.now() < login.until) return true
    this.#logins.delete(digest)
    return false
  }

  remember(digest: string, account: Account): void {
    // Deleted first, so that the map's order stays that of age.
    this.#logins.delete(digest)
    this.#logins.set(digest, { account, until: this.#clock.now() + REMEMBERED_MS })
    if (this.#logins.size > REMEMBERED_MAX) forgetOldest(this.#logins)
  }
}
