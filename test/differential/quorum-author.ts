// Programs with quorum queues. RabbitMQ 3.10 keeps what comes back to such a queue in the order in which it comes back,
// behind all others when there is no delivery limit; it counts as failed what is given back with basic.nack; it
// delivers more than the prefetch allows once the limit was reached; and it sends dead letters when the rest is done, the
// last first. So programs are of three kinds. In the first messages go back, by basic.reject or with their channel: no
// more than one of a queue is out at a time, and no consumer reaches the delivery limit, which each queue has. In the
// second queues are limited, and in the third many messages are out, and none goes back before the end. In these two, and
// where messages expire, dead letters wait in a queue of their own, in no order.
import type { Properties } from '../support/codec.ts'
import type { FieldsInput } from '../support/codec.ts'
import type { Table, Value } from '../support/field-values.ts'
import type { Random } from '../support/random.ts'
import { alteredArguments, classicArguments, KEYS, quorumArguments, type Setting } from './arguments.ts'
import { mistake } from './mistakes.ts'
import { EXCHANGES, POLICIES, QUEUES } from './names.ts'
import type { Place, Step } from './program.ts'
import { SHORT_MS } from './times.ts'

/** The client that consumes, and the one that gets. */
const CONSUMING: Place = { client: 0, channel: 1 }
const GETTING: Place = { client: 1, channel: 1 }
const PUBLISHING: readonly Place[] = [
  { client: 0, channel: 2 },
  { client: 1, channel: 2 },
]
const EXCHANGE_TYPES = ['direct', 'fanout', 'topic', 'headers']
/** What dead letters go to in programs that keep them apart. */
const DEAD_LETTER_EXCHANGE = 'x2'
/** One queue is consumed from, one is got from, one is classic and has what becomes of dead letters. */
const [CONSUMED, GOT, CLASSIC] = QUEUES as readonly [string, string, string]

const LIMITS: ReadonlySet<string> = new Set(['x-max-length', 'x-max-length-bytes', 'x-overflow'])
/** The ways to the queue of dead letters. */
const APART: readonly Table[] = [
  { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': CLASSIC },
  { 'x-dead-letter-exchange': DEAD_LETTER_EXCHANGE },
]

/** Writes one program. */
export class QuorumAuthor {
  readonly #random: Random
  readonly #setting: Setting
  readonly #kind: 'returning' | 'limited' | 'many'
  readonly #steps: Step[] = []
  readonly #declared = new Map<string, FieldsInput>()
  #bodies = 0
  #consumers = 0

  constructor(random: Random, timed: boolean) {
    this.#random = random
    this.#setting = { timed, expirations: false, limited: false }
    this.#kind = random.pick(['returning', 'returning', 'limited', 'many'])
  }

  /** Whether what waits in a queue at the end has an order. */
  get ordered(): boolean {
    return !this.#apart
  }

  /** Whether dead letters have a queue of their own. */
  get #apart(): boolean {
    return this.#kind !== 'returning' || this.#setting.timed
  }

  steps(): readonly Step[] {
    const random = this.#random
    if (random.chance(0.4)) this.#operate()
    for (const at of PUBLISHING) {
      if (random.chance(0.7)) this.#call(at, 'confirm.select')
      else if (random.chance(0.4)) this.#call(at, 'tx.select')
    }
    if (random.chance(0.1)) this.#call(GETTING, 'tx.select')
    for (const exchange of EXCHANGES) {
      if (exchange === DEAD_LETTER_EXCHANGE && this.#apart)
        this.#call(GETTING, 'exchange.declare', { exchange, type: 'fanout' })
      else if (random.chance(0.4))
        this.#call(GETTING, 'exchange.declare', { exchange, type: random.pick(EXCHANGE_TYPES) })
    }
    for (const queue of QUEUES) {
      if (random.chance(0.85)) this.#declare(queue)
      if (random.chance(0.3)) this.#bind(queue)
    }
    const length = this.#setting.timed ? 5 + random.below(8) : 8 + random.below(20)
    for (let i = 0; i < length; i++) this.#anything()
    return this.#steps
  }

  #anything(): void {
    const random = this.#random
    const queue = random.pick(QUEUES)
    const open = this.#apart ? random.pick([CONSUMED, GOT]) : queue
    const choices: readonly (readonly [number, () => void])[] = [
      [30, () => this.#publish()],
      [12, () => this.#getAndSettle()],
      [4, () => this.#call(GETTING, 'basic.get', { queue: open, 'no-ack': true })],
      [10, () => this.#consume()],
      [20, () => this.#settle(CONSUMING)],
      [4, () => this.#declare(queue)],
      [2, () => this.#call(GETTING, 'queue.declare', { queue, passive: true })],
      [2, () => this.#call(GETTING, 'queue.purge', { queue })],
      [1, () => this.#call(GETTING, 'queue.delete', { queue })],
      [3, () => this.#bind(queue)],
      [
        4,
        () => this.#call(random.pick([GETTING, ...PUBLISHING]), random.pick(['tx.commit', 'tx.commit', 'tx.rollback'])),
      ],
      [this.#kind === 'many' ? 0 : 4, () => this.#close()],
      [2, () => this.#steps.push(mistake(random, GETTING, () => this.#body(), [CLASSIC]))],
      [this.#setting.timed ? 0 : 5, () => this.#operate()],
    ]
    let weight = random.below(choices.reduce((sum, [share]) => sum + share, 0))
    for (const [share, choice] of choices) {
      weight -= share
      if (weight < 0) return choice()
    }
  }

  #call(at: Place, method: string, fields: FieldsInput = {}): void {
    this.#steps.push({ do: 'call', at, method, fields })
  }

  #declare(queue: string): void {
    const random = this.#random
    const before = this.#declared.get(queue)
    const fields =
      before === undefined
        ? { queue, durable: true, arguments: this.#arguments(queue) }
        : random.chance(0.5)
          ? before
          : { ...before, arguments: alteredArguments(random, before['arguments'] as Table, this.#arguments(queue)) }
    this.#declared.set(queue, fields)
    this.#call(GETTING, 'queue.declare', fields)
  }

  #arguments(queue: string): Table {
    if (queue === CLASSIC) return this.#apart ? {} : classicArguments(this.#random, this.#setting)
    const args = quorumArguments(this.#random, this.#setting, queue === GOT ? [0, 1, 2, 3] : [20])
    const kept = Object.entries(args).filter(([key]) => this.#kind === 'limited' || !LIMITS.has(key))
    if (!this.#apart || args['x-dead-letter-exchange'] === undefined) return Object.fromEntries(kept)
    return { ...Object.fromEntries(kept), ...this.#random.pick(APART) }
  }

  #bind(queue: string): void {
    const random = this.#random
    const exchange = this.#apart
      ? queue === CLASSIC
        ? DEAD_LETTER_EXCHANGE
        : random.pick(['x0', 'x1'])
      : random.pick(EXCHANGES)
    this.#call(GETTING, 'queue.bind', { queue, exchange, 'routing-key': random.pick(KEYS) })
  }

  #publish(): void {
    const random = this.#random
    const exchange = random.pick(['', '', ...EXCHANGES])
    const key = exchange === '' ? random.pick([CONSUMED, CONSUMED, GOT, GOT, CLASSIC]) : random.pick(KEYS)
    const fields = { exchange, 'routing-key': key, mandatory: random.chance(0.25) }
    const bodies = Array.from({ length: 1 + random.below(3) }, () => this.#body())
    this.#steps.push({ do: 'publish', at: random.pick(PUBLISHING), fields, bodies, properties: this.#properties() })
  }

  #body(): string {
    const name = `m${this.#bodies++}`
    return this.#random.chance(0.1) ? name.padEnd(20, '.') : name
  }

  #properties(): Properties {
    const random = this.#random
    const properties: Record<string, Value> = {}
    if (random.chance(0.2)) properties['delivery-mode'] = 1 + random.below(2)
    if (random.chance(0.1)) properties['correlation-id'] = `id-${random.below(9)}`
    if (random.chance(0.1)) properties['headers'] = { CC: [random.pick(KEYS)] }
    return properties
  }

  #consume(): void {
    const random = this.#random
    const many = this.#kind === 'many'
    this.#call(CONSUMING, 'basic.qos', { 'prefetch-count': many ? random.below(4) : 1 })
    const tag = `c-${CONSUMED}`
    const known = this.#steps.some((step) => step.do === 'call' && step.fields['consumer-tag'] === tag)
    if (!known) this.#call(CONSUMING, 'basic.consume', { queue: CONSUMED, 'consumer-tag': tag })
    // RabbitMQ 3.10 fails when it comes back.
    else if (many && random.chance(0.3)) this.#call(CONSUMING, 'basic.cancel', { 'consumer-tag': tag })
    else if (!this.#apart)
      this.#call(CONSUMING, 'basic.consume', {
        queue: CLASSIC,
        'consumer-tag': `c${this.#consumers++}`,
        'no-ack': random.chance(0.5),
      })
  }

  #getAndSettle(): void {
    const random = this.#random
    this.#call(GETTING, 'basic.get', { queue: GOT })
    if (this.#kind === 'many') {
      if (random.chance(0.6)) this.#settle(GETTING)
    } else if (random.chance(0.1)) this.#steps.push({ do: 'close', at: GETTING, what: 'channel' })
    else this.#settle(GETTING)
  }

  #settle(at: Place): void {
    const random = this.#random
    const many = this.#kind === 'many'
    const method = random.pick(['basic.ack', 'basic.nack', 'basic.reject', 'basic.reject'] as const)
    const requeue = !many && method === 'basic.reject' && random.chance(0.7)
    const nth = many ? random.below(4) : 0
    this.#steps.push({ do: 'settle', at, method, nth, multiple: many && random.chance(0.3), requeue })
  }

  #close(): void {
    const random = this.#random
    this.#steps.push({
      do: 'close',
      at: random.pick([CONSUMING, GETTING]),
      what: random.chance(0.6) ? 'channel' : 'connection',
    })
  }

  /** Only what quorum queues do as RabbitMQ's. */
  #operate(): void {
    const random = this.#random
    const [kind, name] = random.pick(POLICIES)
    if (random.chance(0.25)) {
      this.#steps.push({ do: 'operate', method: 'DELETE', kind, name })
      return
    }
    const operator = kind === 'operator-policies'
    const definition: Record<string, Value> = {}
    const limited = this.#kind === 'limited'
    if (limited && random.chance(0.6)) definition['max-length'] = random.below(4)
    if (random.chance(0.4) && !operator) {
      const apart = random.pick(APART)
      definition['dead-letter-exchange'] = this.#apart
        ? apart['x-dead-letter-exchange']!
        : random.pick(['', '', ...EXCHANGES])
      definition['dead-letter-routing-key'] = this.#apart ? CLASSIC : random.pick([CLASSIC, 'a', 'b'])
    }
    if (random.chance(this.#setting.timed ? 0.5 : 0.1))
      definition['message-ttl'] = this.#setting.timed ? SHORT_MS : 60_000
    const counts = random.chance(0.3)
    if (counts && !operator) definition['delivery-limit'] = random.below(4)
    if (Object.keys(definition).length === 0) definition['expires'] = 60_000
    const pattern = counts ? '^q1' : random.pick(['^q0$', '^q[01]', ...(this.#apart ? [] : ['^q', '.*'])])
    const priority = { p0: 0, p1: 1, o0: 0 }[name]!
    this.#steps.push({
      do: 'operate',
      method: 'PUT',
      kind,
      name,
      body: { pattern, definition, priority, 'apply-to': 'queues' },
    })
  }
}
