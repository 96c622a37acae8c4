// How much may be published in a second: token buckets of vhosts and users, and who has to wait for them.
import type { Clock } from '../lib/clock.ts'
import type { Throttle } from './pace.ts'

/** What may be published in a second; what is absent or negative sets no limit. */
export interface PublishRateLimits {
  readonly maxPublishRate?: number
  /** Of the bodies. */
  readonly maxPublishByteRate?: number
}

/** After so long it is looked again whether the limit still holds, in milliseconds. */
const HOLD_MS_MAX = 1000

/** So much may come at once, after a pause: what may come in a second. */
class TokenBucket {
  readonly #perMs: number
  readonly #capacity: number
  #tokens: number
  /** Milliseconds since 1970 up to which it was filled. */
  #filledAt: number

  constructor(perSecond: number, now: number) {
    this.#perMs = perSecond / 1000
    this.#capacity = perSecond
    this.#tokens = perSecond
    this.#filledAt = now
  }

  /** Takes tokens, also those that are not there yet. */
  take(count: number, now: number): void {
    this.#fill(now)
    this.#tokens -= count
  }

  /** The milliseconds until there are no tokens missing any more. */
  waitMs(now: number): number {
    this.#fill(now)
    // With nothing coming in, what is used up is used up for good.
    if (this.#perMs === 0) return Infinity
    return this.#tokens >= 0 ? 0 : Math.ceil(-this.#tokens / this.#perMs)
  }

  #fill(now: number): void {
    const passedMs = Math.max(0, now - this.#filledAt)
    this.#filledAt = now
    this.#tokens = Math.min(this.#capacity, this.#tokens + passedMs * this.#perMs)
  }
}

interface Buckets {
  readonly messages: TokenBucket | null
  readonly bytes: TokenBucket | null
}

/**
 * Holds publishers' sockets for as long as their vhost or their user is over its rate. Nothing is dropped: a chunk of
 * input that has been read is published, and paid for before the next one is read.
 */
export class PublishRates {
  readonly #clock: Clock
  readonly #vhosts = new Map<string, Buckets>()
  readonly #users = new Map<string, Buckets>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether there is a limit at all. */
  get any(): boolean {
    return this.#vhosts.size + this.#users.size > 0
  }

  /** Sets the limits of a vhost or a user in place of those that it had. */
  limit(kind: 'vhost' | 'user', name: string, limits: PublishRateLimits): void {
    const all = kind === 'vhost' ? this.#vhosts : this.#users
    const [messages, bytes] = [this.#bucket(limits.maxPublishRate), this.#bucket(limits.maxPublishByteRate)]
    if (messages === null && bytes === null) all.delete(name)
    else all.set(name, { messages, bytes })
  }

  /** So much was published from one source, whose input is held if that was too much. */
  spent(source: Throttle, user: string, vhost: string, messages: number, bytes: number): void {
    const now = this.#clock.now()
    for (const bucket of this.#bucketsOf(user, vhost)) {
      bucket.messages?.take(messages, now)
      bucket.bytes?.take(bytes, now)
    }
    if (this.#waitMs(user, vhost) === 0) return
    source.hold()
    this.#wait(source, user, vhost)
  }

  #wait(source: Throttle, user: string, vhost: string): void {
    const waitMs = this.#waitMs(user, vhost)
    if (waitMs === 0) source.release()
    else this.#clock.after(Math.min(waitMs, HOLD_MS_MAX), () => this.#wait(source, user, vhost))
  }

  #waitMs(user: string, vhost: string): number {
    const now = this.#clock.now()
    let longest = 0
    for (const { messages, bytes } of this.#bucketsOf(user, vhost)) {
      longest = Math.max(longest, messages?.waitMs(now) ?? 0, bytes?.waitMs(now) ?? 0)
    }
    return longest
  }

  #bucketsOf(user: string, vhost: string): Buckets[] {
    return [this.#vhosts.get(vhost), this.#users.get(user)].filter((buckets) => buckets !== undefined)
  }

  #bucket(perSecond: number | undefined): TokenBucket | null {
    return perSecond === undefined || perSecond < 0 ? null : new TokenBucket(perSecond, this.#clock.now())
  }
}
