// How often somebody tried to log in, by protocol and by where they came from.
import { forgetOldest } from '../../lib/forget-oldest.ts'

/** Where a login comes from. */
export interface LoginSource {
  readonly protocol: 'amqp091' | 'http'
  /** The address of the peer. */
  readonly address: string
  /** Whether whoever asked has gone meanwhile, so that nobody needs the answer. */
  gone?(): boolean
}

/** Attempts of one kind. */
export class AttemptCounts {
  succeeded = 0
  failed = 0
}

/** The attempts of one user from one address. */
interface SourceAttempts {
  readonly protocol: LoginSource['protocol']
  readonly address: string
  readonly user: string
  readonly counts: AttemptCounts
}

/** Sources that are told apart; the one that was made first makes room. */
const SOURCES_MAX = 1000
/** Characters of a user's name that are kept: it is whatever a stranger sent. */
const USER_LENGTH_MAX = 255

/** Counts logins since the start, or since they were last reset. */
export class LoginAttempts {
  readonly #protocols = new Map<LoginSource['protocol'], AttemptCounts>()
  readonly #sources = new Map<string, SourceAttempts>()

  count({ protocol, address }: LoginSource, user: string, succeeded: boolean): void {
    add(this.of(protocol), succeeded)
    add(this.#source(protocol, address, user.slice(0, USER_LENGTH_MAX)), succeeded)
  }

  /** Those over one protocol. */
  of(protocol: LoginSource['protocol']): AttemptCounts {
    let counts = this.#protocols.get(protocol)
    if (counts === undefined) {
      counts = new AttemptCounts()
      this.#protocols.set(protocol, counts)
    }
    return counts
  }

  get protocols(): Iterable<readonly [LoginSource['protocol'], AttemptCounts]> {
    return this.#protocols
  }

  get sources(): Iterable<SourceAttempts> {
    return this.#sources.values()
  }

  /** Forgets what was counted by protocol. */
  reset(): void {
    this.#protocols.clear()
  }

  /** Forgets what was counted by source. */
  resetSources(): void {
    this.#sources.clear()
  }

  #source(protocol: LoginSource['protocol'], address: string, user: string): AttemptCounts {
    const key = JSON.stringify([protocol, address, user])
    const known = this.#sources.get(key)
    if (known !== undefined) return known.counts
    const counts = new AttemptCounts()
    this.#sources.set(key, { protocol, address, user, counts })
    if (this.#sources.size > SOURCES_MAX) forgetOldest(this.#sources)
    return counts
  }
}

function add(counts: AttemptCounts, succeeded: boolean): void {
  if (succeeded) counts.succeeded++
  else counts.failed++
}
