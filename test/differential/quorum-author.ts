// Programs with quorum queues. RabbitMQ 3.10 keeps what comes back to such a queue in the order in which it comes back,
// behind all others when there is no delivery limit; it counts as failed what is given back with basic.nack; and it
// delivers more than the prefetch allows once the limit was reached. So no more than one message of a quorum queue is out
// at a time, what goes back goes by basic.reject, or with its channel, and no consumer reaches the limit, which each has.
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
const EXCHANGE_TYPES = ['direct', 'fanout', 'topic']
/** One queue is consumed from, one is got from, one is classic and has what becomes of dead letters. */
const [CONSUMED, GOT, CLASSIC] = QUEUES as readonly [string, string, string]

/** Writes one program. */
export class QuorumAuthor {
  readonly #random: Random
  readonly #setting: Setting
  readonly #steps: Step[] = []
  readonly #declared = new Map<string, FieldsInput>()
  #bodies = 0
  #consumers = 0

  constructor(random: Random, timed: boolean) {
    this.#random = random
    this.#setting = { timed, expirations: false }
  }

  steps(): readonly Step[] {
    const random = this.#random
    if (random.chance(0.4)) this.#operate()
    for (const at of PUBLISHING) if (random.chance(0.7)) this.#call(at, 'confirm.select')
    for (const exchange of EXCHANGES) {
      if (random.chance(0.4)) this.#call(GETTING, 'exchange.declare', { exchange, type: random.pick(EXCHANGE_TYPES) })
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
    const choices: readonly (readonly [number, () => void])[] = [
      [30, () => this.#publish()],
      [12, () => this.#getAndSettle()],
      [4, () => this.#call(GETTING, 'basic.get', { queue, 'no-ack': true })],
      [10, () => this.#consume()],
      [20, () => this.#settle(CONSUMING)],
      [4, () => this.#declare(queue)],
      [2, () => this.#call(GETTING, 'queue.declare', { queue, passive: true })],
      [2, () => this.#call(GETTING, 'queue.purge', { queue })],
      [1, () => this.#call(GETTING, 'queue.delete', { queue })],
      [3, () => this.#bind(queue)],
      [4, () => this.#close()],
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
    if (queue === CLASSIC) return classicArguments(this.#random, this.#setting)
    return quorumArguments(this.#random, this.#setting, queue === GOT ? [0, 1, 2, 3] : [20])
  }

  #bind(queue: string): void {
    const random = this.#random
    this.#call(GETTING, 'queue.bind', { queue, exchange: random.pick(EXCHANGES), 'routing-key': random.pick(KEYS) })
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
    this.#call(CONSUMING, 'basic.qos', { 'prefetch-count': 1 })
    const consumed = `c-${CONSUMED}`
    const known = this.#steps.some((step) => step.do === 'call' && step.fields['consumer-tag'] === consumed)
    if (!known) this.#call(CONSUMING, 'basic.consume', { queue: CONSUMED, 'consumer-tag': consumed })
    else
      this.#call(CONSUMING, 'basic.consume', {
        queue: CLASSIC,
        'consumer-tag': `c${this.#consumers++}`,
        'no-ack': random.chance(0.5),
      })
  }

  #getAndSettle(): void {
    this.#call(GETTING, 'basic.get', { queue: GOT })
    if (this.#random.chance(0.1)) this.#steps.push({ do: 'close', at: GETTING, what: 'channel' })
    else this.#settle(GETTING)
  }

  #settle(at: Place): void {
    const random = this.#random
    const method = random.pick(['basic.ack', 'basic.nack', 'basic.reject', 'basic.reject'] as const)
    const requeue = method === 'basic.reject' && random.chance(0.7)
    this.#steps.push({ do: 'settle', at, method, nth: 0, multiple: false, requeue })
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
    if (random.chance(0.5)) definition['max-length'] = random.below(4)
    if (random.chance(0.4) && !operator) {
      definition['dead-letter-exchange'] = random.pick(['', '', ...EXCHANGES])
      definition['dead-letter-routing-key'] = random.pick([CLASSIC, 'a', 'b'])
    }
    if (random.chance(this.#setting.timed ? 0.5 : 0.1))
      definition['message-ttl'] = this.#setting.timed ? SHORT_MS : 60_000
    const limits = random.chance(0.3)
    if (limits && !operator) definition['delivery-limit'] = random.below(4)
    if (Object.keys(definition).length === 0) definition['max-length'] = 2
    const pattern = limits ? '^q1' : random.pick(['^q', '^q0$', '^q[01]', '.*'])
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
