// Rates and their history: counters read every five seconds, into rings that do not grow.
import type { Broker } from '../core/broker.ts'
import type { ChannelView, ConnectionView } from '../core/clients.ts'
import { Ages } from './ages.ts'
import { COUNT_NAMES, MessageCounts } from '../core/counts.ts'
import type { Exchange } from '../core/exchange/exchange.ts'
import type { Queue } from '../core/queue/queue.ts'
import type { VHost } from '../core/vhost.ts'
import type { Clock, Timer } from '../lib/clock.ts'
import type { Slices } from '../lib/slices.ts'
import { churnKind, NodeFigures, nodeKind } from './node-figures.ts'
import { consumerCapacity } from './queue-figures.ts'

/** RabbitMQ's collect_statistics_interval, in milliseconds. */
const SAMPLE_MS = 5000
/** How long the history of an object is kept up after somebody asked for it, in milliseconds. */
const WATCHED_MS = 600_000
/** Objects whose history is kept because somebody asked for it: each takes some 16 kB. Of more, none is kept. */
const WATCHED_MAX = 1000
/** How long something is sampled after somebody asked for it, in milliseconds, and how many of such there are. */
const ASKED_MS = 60_000
const ASKED_MAX = 10_000
/** RabbitMQ's retention for what is always kept: so many samples, so many milliseconds apart. */
const TIERS: readonly (readonly [samples: number, stepMs: number])[] = [
  [122, SAMPLE_MS],
  [62, 60_000],
  [50, 600_000],
  [49, 1_800_000],
]

/** What is sampled of something: a name for each figure, and how they are read, in the same order. */
export interface Kind<T> {
  readonly names: readonly string[]
  read(object: T, into: Float64Array): void
}

/** The history that somebody asks for: seconds back, and seconds from one sample to the next. */
export interface Span {
  readonly ageSeconds: number
  readonly stepSeconds: number
}

/** One figure over time. */
export interface Figure {
  /** Per second, over the last two samples. */
  readonly rate: number
  /** Newest first; empty when no span was asked for. */
  readonly samples: readonly { readonly sample: number; readonly timestamp: number }[]
}

/** The names of the figures that are kept of each kind of object. */
const MESSAGE_FIGURES: readonly string[] = [...COUNT_NAMES, 'ready', 'unacked']
const OCTETS = ['received', 'sent'] as const

const queueKind: Kind<Queue> = {
  names: MESSAGE_FIGURES,
  read: (queue, into) => readMessages(queue.counts, queue.readyCount, queue.unackedCount, into),
}
const channelKind: Kind<ChannelView> = {
  names: MESSAGE_FIGURES,
  read: (channel, into) => readMessages(channel.counts, 0, channel.unackedCount, into),
}
const exchangeKind: Kind<Exchange> = {
  names: ['in', 'out', 'deduplicated'],
  read(exchange, into) {
    into[0] = exchange.publishedIn
    into[1] = exchange.publishedOut
    into[2] = exchange.deduplicated
  },
}
const connectionKind: Kind<ConnectionView> = {
  names: OCTETS,
  read(connection, into) {
    into[0] = connection.receivedBytes
    into[1] = connection.sentBytes
  },
}

/** Where messages are, and how large: sums over queues. */
class BacklogTotals {
  readyBytes = 0
  unackedBytes = 0
  residentBytes = 0
  /** Ready messages in memory, and those of what is out with consumers. */
  resident = 0
  unackedResident = 0
  persistent = 0
  persistentBytes = 0
  /** Queues of which a consumer would take more. */
  capacity = 0

  addQueue(queue: Queue): void {
    const { count, bodyBytes } = queue.persistent
    this.readyBytes += queue.readyBytes
    this.unackedBytes += queue.unackedBytes
    this.residentBytes += queue.residentBytes
    this.resident += queue.residentCount
    this.unackedResident += queue.unackedResidentCount
    this.persistent += count
    this.persistentBytes += bodyBytes
    this.capacity += consumerCapacity(queue)
  }

  add(other: BacklogTotals): void {
    this.readyBytes += other.readyBytes
    this.unackedBytes += other.unackedBytes
    this.residentBytes += other.residentBytes
    this.resident += other.resident
    this.unackedResident += other.unackedResident
    this.persistent += other.persistent
    this.persistentBytes += other.persistentBytes
    this.capacity += other.capacity
  }
}

/** What the sums of a vhost, or of all of them, are at one time. */
export class Totals {
  readonly counts = new MessageCounts()
  /** The counts of queues, by their type; of those that are gone, too. */
  readonly byType = new Map<string, MessageCounts>()
  delayed = 0
  readonly backlog = new BacklogTotals()
  /** How long the oldest of the messages has waited, in milliseconds. */
  oldestMs = 0
  ready = 0
  unacked = 0
  received = 0
  sent = 0

  add(other: Totals): void {
    this.counts.add(other.counts)
    for (const [type, counts] of other.byType) this.ofType(type).add(counts)
    this.delayed += other.delayed
    this.backlog.add(other.backlog)
    this.oldestMs = Math.max(this.oldestMs, other.oldestMs)
    this.ready += other.ready
    this.unacked += other.unacked
    this.received += other.received
    this.sent += other.sent
  }

  ofType(type: string): MessageCounts {
    let counts = this.byType.get(type)
    if (counts === undefined) this.byType.set(type, (counts = new MessageCounts()))
    return counts
  }
}

const totalsKind: Kind<Totals> = {
  names: [...MESSAGE_FIGURES, ...OCTETS],
  read(totals, into) {
    readMessages(totals.counts, totals.ready, totals.unacked, into)
    into[MESSAGE_FIGURES.length] = totals.received
    into[MESSAGE_FIGURES.length + 1] = totals.sent
  },
}

/** What views ask. */
export interface History {
  /** Resolves when a sample was taken of what queues hold: shortly after a start that is not known. */
  readonly begun: Promise<void>
  /** The figures of an object as they were last sampled; undefined before that. */
  figure(object: object, name: string, span?: Span | null): Figure | undefined
  /** The rate of that figure alone; 0 before the second sample. */
  rate(object: object, name: string): number
  /** Since when no figure of an object has changed, in milliseconds since 1970; null while samples find changes. */
  idleSince(object: object): number | null
  /** The sums of a vhost (or, without one, of all) as they were last sampled. */
  totals(vhost?: VHost): Totals
  /** What is known of the process. */
  readonly node: NodeFigures
  /** Samples what is not sampled by itself, as long as somebody asks for it. */
  include<T extends object>(object: T, kind: Kind<T>): void
}

/**
 * Samples every object's counters, in slices. Of most it keeps the last two samples, which make a rate; of vhosts and
 * of the whole, and of whatever somebody asked the history of lately, it keeps rings.
 */
export class Rates implements History {
  /** How long messages wait, looked at with each sample. */
  readonly ages = new Ages()
  readonly node: NodeFigures
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #slices: Slices
  readonly #tracks = new WeakMap<object, Track>()
  readonly #totals = new WeakMap<object, Totals>()
  readonly #asked = new Map<object, { until: number; readonly take: (now: number) => void }>()
  #timer: Timer | null = null
  #sampling: Promise<void> | null = null
  #begun = Promise.resolve()
  /** Queues of which it was not known what they hold when they were last met. */
  readonly #unknown = new WeakSet<Queue>()
  /** Whether there were any. */
  #someUnknown = false
  /** Those that were watched at the last sample, and since; and those that the sample which is being taken has met. */
  #watched = 0
  #met = 0

  constructor(broker: Broker, clock: Clock, slices: Slices) {
    this.#broker = broker
    this.#clock = clock
    this.#slices = slices
    this.node = new NodeFigures(broker)
  }

  start(): void {
    this.#begun = this.#begin()
    this.#timer = this.#clock.every(SAMPLE_MS, () => void this.sample())
  }

  get begun(): Promise<void> {
    return this.#begun
  }

  stop(): void {
    this.#timer?.cancel()
  }

  /** Takes a sample of everything, unless the last one is still being taken. Resolves when it is. */
  sample(): Promise<void> {
    this.#sampling ??= this.#sample()
    return this.#sampling
  }

  figure(object: object, name: string, span: Span | null = null): Figure | undefined {
    const track = this.#tracks.get(object)
    if (track === undefined) return undefined
    if (span !== null) this.#watch(track)
    return track.figure(name, span)
  }

  rate(object: object, name: string): number {
    return this.#tracks.get(object)?.rate(name) ?? 0
  }

  idleSince(object: object): number | null {
    return this.#tracks.get(object)?.idleSince ?? null
  }

  include<T extends object>(object: T, kind: Kind<T>): void {
    const now = this.#clock.now()
    const asked = this.#asked.get(object)
    if (asked !== undefined) asked.until = now + ASKED_MS
    if (asked !== undefined || this.#asked.size >= ASKED_MAX) return
    const take = (at: number): void => this.#track(object, kind, at, false)
    this.#asked.set(object, { until: now + ASKED_MS, take })
    take(now)
  }

  #watch(track: Track): void {
    if (!track.watched && this.#watched >= WATCHED_MAX) return
    if (!track.watched) this.#watched++
    track.watch(this.#clock.now() + WATCHED_MS)
  }

  totals(vhost?: VHost): Totals {
    return this.#totals.get(vhost ?? this.#broker) ?? new Totals()
  }

  async #begin(): Promise<void> {
    await this.sample()
    await this.#broker.queuesOpened
    // One may be under way that has met some of which it was not known.
    await this.#sampling
    if (this.#someUnknown) await this.sample()
  }

  async #sample(): Promise<void> {
    try {
      await this.#slices.next()
      this.#met = 0
      const steps = this.#steps(this.#clock.now())
      while (steps.next().done !== true) if (this.#slices.over) await this.#slices.next()
      this.#watched = this.#met
    } finally {
      this.#sampling = null
    }
    void this.#askStore()
  }

  async #askStore(): Promise<void> {
    try {
      await this.ages.askStore()
    } catch (error) {
      this.#broker.logger.error({ err: error }, 'the age of stored messages cannot be read')
    }
  }

  /** One step for each object. */
  *#steps(now: number): Generator<void> {
    const sums = new Map<string, Totals>()
    const discovered = new Set<object>()
    this.#someUnknown = false
    for (const vhost of this.#broker.vhosts.values()) {
      const sum = new Totals()
      sum.counts.add(vhost.counts)
      for (const [type, counts] of vhost.retired) sum.ofType(type).add(counts)
      sums.set(vhost.name, sum)
      for (const queue of vhost.queues.values()) {
        addCounts(sum, queue)
        if (queue.opened) {
          this.#track(queue, queueKind, now, false)
          this.ages.noteQueue(queue, now)
          addLengths(sum, queue)
          sum.oldestMs = Math.max(sum.oldestMs, this.ages.oldest(queue, now) ?? 0)
          if (this.#unknown.delete(queue)) discovered.add(vhost).add(this.#broker)
        } else {
          this.#unknown.add(queue)
          this.#someUnknown = true
        }
        yield
      }
      for (const exchange of vhost.exchanges.values()) {
        this.#track(exchange, exchangeKind, now, false)
        sum.delayed += exchange.delayedCount
        yield
      }
    }
    for (const connection of this.#broker.connections.values()) {
      this.#track(connection, connectionKind, now, false)
      const sum = sums.get(connection.vhost) ?? new Totals()
      sum.received += connection.receivedBytes
      sum.sent += connection.sentBytes
      for (const channel of connection.channels) {
        this.#track(channel, channelKind, now, false)
        this.ages.noteChannel(channel, now)
        sum.counts.confirmed += channel.counts.confirmed
        sum.counts.returned += channel.counts.returned
        sum.counts.dropped += channel.counts.dropped
      }
      yield
    }
    for (const [object, { until, take }] of this.#asked) {
      if (now < until) take(now)
      else this.#asked.delete(object)
      yield
    }
    const all = new Totals()
    for (const vhost of this.#broker.vhosts.values()) {
      const sum = sums.get(vhost.name) ?? new Totals()
      this.#keepTotals(vhost, sum, now)
      all.add(sum)
    }
    this.#keepTotals(this.#broker, all, now)
    // What was there before is nothing that has come.
    for (const object of discovered) this.#tracks.get(object)!.restart()
    this.#track(this.#broker.churn, churnKind, now, true)
    this.#track(this.node, nodeKind, now, true)
    void this.#look()
  }

  async #look(): Promise<void> {
    try {
      await this.node.look()
    } catch (error) {
      this.#broker.logger.error({ err: error }, 'the open files of the process cannot be counted')
    }
  }

  #keepTotals(owner: object, totals: Totals, now: number): void {
    this.#totals.set(owner, totals)
    this.#track(owner, totalsKind, now, true, totals)
  }

  #track<T extends object>(object: T, kind: Kind<T>, now: number, always: boolean): void
  #track<T>(object: object, kind: Kind<T>, now: number, always: boolean, read: T): void
  #track<T>(object: object, kind: Kind<T>, now: number, always: boolean, read = object as T): void {
    let track = this.#tracks.get(object)
    if (track === undefined) {
      track = new Track(kind.names, always)
      this.#tracks.set(object, track)
    }
    kind.read(read, track.next(now))
    track.taken(now)
    if (track.watched && !always) this.#met++
  }
}

const NO_RINGS: readonly Ring[] = []
const NO_SAMPLES: Figure['samples'] = []

/** The samples of one object. */
class Track {
  readonly names: readonly string[]
  readonly #always: boolean
  #current: Float64Array
  #previous: Float64Array
  #currentAt = 0
  #previousAt = 0
  /** When the last sample was taken that differed from the one before. */
  #changedAt = 0
  #rings = NO_RINGS
  #watchedUntil = 0

  constructor(names: readonly string[], always: boolean) {
    this.names = names
    this.#always = always
    const both = new Float64Array(names.length * 2)
    this.#current = both.subarray(0, names.length)
    this.#previous = both.subarray(names.length)
    if (always) this.#rings = TIERS.map(([length, stepMs]) => new Ring(length, stepMs, names.length))
  }

  /** Whether there is a history. */
  get watched(): boolean {
    return this.#rings.length > 0
  }

  /** When the last change was seen; null if it was the newest sample that saw it. */
  get idleSince(): number | null {
    return this.#changedAt === this.#currentAt ? null : this.#changedAt
  }

  /** Where the next sample is to be read into. */
  next(now: number): Float64Array {
    const spare = this.#previous
    this.#previous = this.#current
    this.#previousAt = this.#currentAt
    this.#current = spare
    this.#currentAt = now
    return spare
  }

  /** The sample was read. */
  taken(now: number): void {
    if (this.#previousAt === 0 || this.#changed) this.#changedAt = now
    if (!this.#always && this.#rings.length > 0 && now > this.#watchedUntil) this.#rings = NO_RINGS
    for (const ring of this.#rings) ring.push(now, this.#current)
  }

  /** What the last sample differs by from the one before tells nothing. */
  restart(): void {
    this.#previousAt = 0
  }

  /** Keeps a history until then at least. */
  watch(until: number): void {
    this.#watchedUntil = until
    if (this.#rings.length > 0) return
    const ring = new Ring(...TIERS[0]!, this.names.length)
    ring.push(this.#currentAt, this.#current)
    this.#rings = [ring]
  }

  /** Per second, between the last two samples, to a tenth. */
  rate(name: string): number {
    return this.#rate(this.names.indexOf(name))
  }

  figure(name: string, span: Span | null): Figure {
    const index = this.names.indexOf(name)
    return { rate: this.#rate(index), samples: span === null ? NO_SAMPLES : this.#samples(index, span) }
  }

  #rate(index: number): number {
    // Most objects are idle, and their samples need not be looked at.
    if (this.#changedAt !== this.#currentAt || this.#previousAt === 0) return 0
    const seconds = (this.#currentAt - this.#previousAt) / 1000
    const rate = seconds <= 0 ? 0 : (this.#current[index]! - this.#previous[index]!) / seconds
    return Math.round(rate * 10) / 10
  }

  get #changed(): boolean {
    for (let i = 0; i < this.#current.length; i++) if (this.#current[i] !== this.#previous[i]) return true
    return false
  }

  #samples(index: number, span: Span): Figure['samples'] {
    const samples: { sample: number; timestamp: number }[] = []
    const stepMs = span.stepSeconds * 1000
    const newest = Math.floor(this.#currentAt / stepMs) * stepMs
    const ring = this.#rings.findLast((one) => one.stepMs <= stepMs) ?? this.#rings[0]
    for (let back = 0; back * span.stepSeconds <= span.ageSeconds; back++) {
      const timestamp = newest - back * stepMs
      samples.push({ sample: ring?.at(timestamp + stepMs - 1, index) ?? 0, timestamp })
    }
    return samples
  }
}

/** The last samples, a step or more apart, all in one piece of memory. */
class Ring {
  readonly stepMs: number
  readonly #length: number
  readonly #width: number
  readonly #times: Float64Array
  readonly #samples: Float64Array
  #next = 0
  #count = 0

  /** For so many samples of so many figures. */
  constructor(length: number, stepMs: number, width: number) {
    this.#length = length
    this.stepMs = stepMs
    this.#width = width
    this.#times = new Float64Array(length)
    this.#samples = new Float64Array(length * width)
  }

  push(time: number, sample: Float64Array): void {
    const last = this.#times[(this.#next + this.#length - 1) % this.#length]!
    // A tick may come a little early: a tenth of the step is not waited for.
    if (this.#count > 0 && time - last < this.stepMs * 0.9) return
    this.#times[this.#next] = time
    this.#samples.set(sample, this.#next * this.#width)
    this.#next = (this.#next + 1) % this.#length
    this.#count = Math.min(this.#count + 1, this.#length)
  }

  /** One figure of the newest sample that is no newer than this. */
  at(time: number, figure: number): number | undefined {
    for (let back = 1; back <= this.#count; back++) {
      const index = (this.#next + this.#length - back) % this.#length
      if (this.#times[index]! <= time) return this.#samples[index * this.#width + figure]
    }
    return undefined
  }
}

function readMessages(counts: MessageCounts, ready: number, unacked: number, into: Float64Array): void {
  for (let i = 0; i < COUNT_NAMES.length; i++) into[i] = counts[COUNT_NAMES[i]!]
  into[COUNT_NAMES.length] = ready
  into[COUNT_NAMES.length + 1] = unacked
}

function addCounts(sum: Totals, queue: Queue): void {
  const published = sum.counts.published
  sum.counts.add(queue.counts)
  // A message that reached three queues was published once: the vhost counts that itself.
  sum.counts.published = published
  sum.ofType(queue.rules.type).add(queue.counts)
}

function addLengths(sum: Totals, queue: Queue): void {
  sum.delayed += queue.delayedCount
  sum.backlog.addQueue(queue)
  sum.ready += queue.readyCount
  sum.unacked += queue.unackedCount
}
