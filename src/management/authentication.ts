// Who is asking: HTTP Basic, with few wrong passwords from one address.
import type { Access, User } from '../core/access.ts'
import type { Clock } from '../lib/clock.ts'
import { isLoopback } from '../lib/loopback.ts'
import { HttpError, notAuthorised } from './http-error.ts'

/** Wrong passwords from one address within a minute; beyond that it is answered without looking. */
const FAILURES_MAX = 30
const FAILURES_MS = 60_000
/** Addresses that are remembered; the oldest makes room. */
const ADDRESSES_MAX = 10_000
/** Longer headers hold no credentials. */
const HEADER_LENGTH_MAX = 4096

interface Failures {
  count: number
  readonly until: number
}

/** Reads credentials and has them checked. */
export class Authentication {
  readonly #access: Access
  readonly #clock: Clock
  readonly #failures = new Map<string, Failures>()

  constructor(access: Access, clock: Clock) {
    this.#access = access
    this.#clock = clock
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
    if (this.#blocked(address)) {
      throw new HttpError(429, 'too_many_requests', 'Too many failed logins from this address. Try again in a minute.')
    }
    const source = { protocol: 'http', address } as const
    const user = name === null ? null : await this.#access.authenticate(name, password, true, source)
    if (user === null) {
      this.#failed(address)
      throw new HttpError(401, 'not_authorized', 'Not_Authorized')
    }
    if (!isLoopback(address) && this.#access.loopbackOnly(user.name)) {
      throw notAuthorised('User can only log in via localhost')
    }
    return user
  }

  #blocked(address: string): boolean {
    const failures = this.#failures.get(address)
    if (failures === undefined) return false
    if (this.#clock.now() < failures.until) return failures.count >= FAILURES_MAX
    this.#failures.delete(address)
    return false
  }

  #failed(address: string): void {
    const failures = this.#failures.get(address)
    if (failures !== undefined) {
      failures.count++
      return
    }
    this.#failures.set(address, { count: 1, until: this.#clock.now() + FAILURES_MS })
    if (this.#failures.size <= ADDRESSES_MAX) return
    for (const oldest of this.#failures.keys()) {
      this.#failures.delete(oldest)
      break
    }
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
