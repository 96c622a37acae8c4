// Who is asking: HTTP Basic, with few wrong passwords for one user from one address.
import type { Access, User } from '../core/access.ts'
import type { Clock } from '../lib/clock.ts'
import { forgetOldest } from '../lib/forget-oldest.ts'
import { isLoopback } from '../lib/loopback.ts'
import { HttpError, notAuthorised } from './http-error.ts'

/** Wrong passwords for one user from one address within a minute; beyond that it is answered without looking. */
const USER_FAILURES_MAX = 30
/** The same for all users together: many people may have one address. */
const ADDRESS_FAILURES_MAX = 300
const FAILURES_MS = 60_000
/** Addresses, and users at addresses, that are remembered; the oldest makes room. */
const REMEMBERED_MAX = 10_000
/** Longer headers hold no credentials. */
const HEADER_LENGTH_MAX = 4096

/** Wrong passwords of late, by whom they are held against. */
class Failures {
  readonly #most: number
  readonly #clock: Clock
  readonly #recent = new Map<string, { count: number; readonly until: number }>()

  constructor(most: number, clock: Clock) {
    this.#most = most
    this.#clock = clock
  }

  /** Whether there were too many. */
  tooMany(key: string): boolean {
    const failures = this.#recent.get(key)
    if (failures === undefined) return false
    if (this.#clock.now() < failures.until) return failures.count >= this.#most
    this.#recent.delete(key)
    return false
  }

  add(key: string): void {
    const failures = this.#recent.get(key)
    if (failures !== undefined) {
      failures.count++
      return
    }
    this.#recent.set(key, { count: 1, until: this.#clock.now() + FAILURES_MS })
    if (this.#recent.size > REMEMBERED_MAX) forgetOldest(this.#recent)
  }
}

/** Who knows the passwords. */
type Checked = Pick<Access, 'authenticate' | 'loopbackOnly'>

/** Reads credentials and has them checked. */
export class Authentication {
  readonly #access: Checked
  readonly #ofAddresses: Failures
  /** So that one who does not know a password locks out nobody else behind the same address. */
  readonly #ofUsers: Failures

  constructor(access: Checked, clock: Clock) {
    this.#access = access
    this.#ofAddresses = new Failures(ADDRESS_FAILURES_MAX, clock)
    this.#ofUsers = new Failures(USER_FAILURES_MAX, clock)
  }

  /**
   * The user that an Authorization header stands for; null when it is missing.
   * @throws HttpError 401 when it is wrong, or the user may not use the API at all; 429 after too many wrong ones
   */
  async user(header: string | undefined, address: string): Promise<User | null> {
    if (header === undefined) return null
    const claim = basicClaim(header)
    return this.login(claim?.name ?? null, claim?.password ?? '', address)
  }

  /**
   * The user of this name and password; null for a name stands for credentials that cannot be read.
   * @throws HttpError 401 when they are wrong, or the user may not use the API at all; 429 after too many wrong ones
   */
  async login(name: string | null, password: string, address: string): Promise<User> {
    const userAtAddress = `${address} ${name ?? ''}`
    this.#assertFewFailures(address, userAtAddress)
    const source = { protocol: 'http', address } as const
    const user = name === null ? null : await this.#access.authenticate(name, password, true, source)
    // Others may have failed meanwhile: who tries many passwords at once learns no more than one by one.
    this.#assertFewFailures(address, userAtAddress)
    if (user === null) {
      this.#ofAddresses.add(address)
      this.#ofUsers.add(userAtAddress)
      throw new HttpError(401, 'not_authorized', 'Not_Authorized')
    }
    if (!isLoopback(address) && this.#access.loopbackOnly(user.name)) {
      throw notAuthorised('User can only log in via localhost')
    }
    return user
  }

  #assertFewFailures(address: string, userAtAddress: string): void {
    if (!this.#ofAddresses.tooMany(address) && !this.#ofUsers.tooMany(userAtAddress)) return
    throw new HttpError(429, 'too_many_requests', 'Too many failed logins from this address. Try again in a minute.')
  }
}

/** RFC 7617. Null for what cannot be read. */
function basicClaim(header: string): { readonly name: string; readonly password: string } | null {
  const encoded = /^basic +([a-z0-9+/_=-]+) *$/i.exec(header.slice(0, HEADER_LENGTH_MAX))?.[1]
  if (encoded === undefined) return null
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return colon < 0 ? null : { name: text.slice(0, colon), password: text.slice(colon + 1) }
}
