// Programs for two brokers: what clients do, step by step, made from a seed.
import type { FieldsInput, Properties } from '../support/codec.ts'
import type { Table } from '../support/field-values.ts'
import { Random } from '../support/random.ts'
import type { PublishFields } from '../support/raw-client.ts'

/** A channel of one of the clients. */
export interface Place {
  readonly client: number
  readonly channel: number
}

/** One step; all that it causes is awaited before the next. */
export type Step =
  | { readonly do: 'call'; readonly at: Place; readonly method: string; readonly fields: FieldsInput }
  | {
      readonly do: 'publish'
      readonly at: Place
      readonly fields: PublishFields
      readonly bodies: readonly string[]
      readonly properties: Properties
    }
  /** Settles the delivery that is the `nth` of those outstanding on the channel, from the oldest; -1 is one unheard of. */
  | {
      readonly do: 'settle'
      readonly at: Place
      readonly method: 'basic.ack' | 'basic.nack' | 'basic.reject'
      readonly nth: number
      readonly multiple: boolean
      readonly requeue: boolean
    }
  /** Closes the channel, or the connection, as a client does. */
  | { readonly do: 'close'; readonly at: Place; readonly what: 'channel' | 'connection' }

/** What is run on both brokers. */
export interface Program {
  readonly seed: number
  readonly steps: readonly Step[]
  /** Whether the time that passes matters: then each step is given some before anybody looks. */
  readonly timed: boolean
}

/** The names that programs use, so that what they leave behind can be removed. */
export const QUEUES: readonly string[] = ['q0', 'q1', 'q2']
export const EXCHANGES: readonly string[] = ['x0', 'x1', 'x2']

/** In timed programs: what lives for so long is dead at the end of the step in which it came to be. */
const SHORT_MS = 40
export const STEP_MS = 150

const EXCHANGE_TYPES = ['direct', 'fanout', 'topic', 'headers']
const KEYS = ['a', 'b', 'a.b', 'a.b.c', '', 'q0', 'q1', 'q2', 'a..b']
const PATTERNS = ['#', '*', 'a.*', 'a.#', '*.b', '#.c', 'a.#.c', '*.*', '#.b.#', ...KEYS]
/** The client that makes mistakes for which it loses its connection. In which order channels go then is not told. */
const CLUMSY: Place = { client: 2, channel: 1 }

/** The program of a seed. */
export function programOf(seed: number): Program {
  return new Author(seed).program()
}

class Author {
  readonly #random: Random
  readonly #seed: number
  readonly #timed: boolean
  /** In timed programs without dead letters all messages may expire by themselves. */
  readonly #expirations: boolean
  /** Whether channels are limited as a whole; see differences.ts. */
  readonly #limitsChannels: boolean
  readonly #steps: Step[] = []
  readonly #declared = new Map<string, FieldsInput>()
  #bodies = 0
  #consumers = 0

  constructor(seed: number) {
    this.#seed = seed
    this.#random = new Random(seed)
    this.#timed = this.#random.chance(0.06)
    this.#expirations = this.#timed && this.#random.chance(0.4)
    this.#limitsChannels = this.#random.chance(0.4)
  }

  program(): Program {
    const random = this.#random
    for (const client of [0, 1]) {
      for (const channel of [1, 2]) this.#mode({ client, channel })
    }
    for (const queue of QUEUES) if (random.chance(0.7)) this.#declareQueue(queue)
    for (const exchange of EXCHANGES) if (random.chance(0.5)) this.#declareExchange(exchange)
    for (let bindings = random.below(4); bindings > 0; bindings--) this.#bind()
    const length = this.#timed ? 5 + random.below(8) : 8 + random.below(24)
    for (let i = 0; i < length; i++) this.#anything()
    return { seed: this.#seed, steps: this.#steps, timed: this.#timed }
  }

  /** Most channels confirm, some are transactional, the rest do neither. */
  #mode(at: Place): void {
    const next = this.#random.next()
    if (next < 0.6) this.#call(at, 'confirm.select')
    else if (next < 0.75) this.#call(at, 'tx.select')
  }

  #anything(): void {
    const random = this.#random
    const choices: readonly (readonly [number, () => void])[] = [
      [30, () => this.#publish()],
      [10, () => this.#get()],
      [11, () => this.#consume()],
      [
        4,
        () =>
          this.#call(this.#place(), 'basic.cancel', {
            'consumer-tag': `c${random.below(this.#consumers + 1)}`,
            nowait: random.chance(0.1),
          }),
      ],
      [20, () => this.#settle()],
      [4, () => this.#declareQueue(random.pick(QUEUES))],
      [2, () => this.#call(this.#place(), 'queue.declare', { queue: random.pick(QUEUES), passive: true })],
      [2, () => this.#deleteQueue()],
      [2, () => this.#call(this.#place(), 'queue.purge', { queue: random.pick(QUEUES) })],
      [5, () => this.#bind()],
      [2, () => this.#unbind()],
      [2, () => this.#declareExchange(random.pick(EXCHANGES))],
      [1, () => this.#deleteExchange()],
      [1, () => this.#call(this.#place(), 'exchange.declare', { exchange: random.pick(EXCHANGES), passive: true })],
      [4, () => this.#qos()],
      [2, () => this.#call(this.#place(), random.pick(['basic.recover', 'basic.recover-async']), { requeue: true })],
      [4, () => this.#call(this.#place(), random.pick(['tx.commit', 'tx.commit', 'tx.rollback']))],
      [1, () => this.#mode(this.#place())],
      [2, () => this.#close()],
      [2, () => this.#mistake()],
    ]
    let weight = random.below(choices.reduce((sum, [share]) => sum + share, 0))
    for (const [share, choice] of choices) {
      weight -= share
      if (weight < 0) return choice()
    }
  }

  #place(): Place {
    return { client: this.#random.below(2), channel: 1 + this.#random.below(2) }
  }

  #call(at: Place, method: string, fields: FieldsInput = {}): void {
    this.#steps.push({ do: 'call', at, method, fields })
  }

  #publish(): void {
    const random = this.#random
    const exchange = random.pick(['', '', '', ...EXCHANGES, ...EXCHANGES, 'amq.topic', 'amq.fanout', 'amq.match'])
    const key = exchange === '' ? random.pick(QUEUES) : random.pick(KEYS)
    const fields = { exchange, 'routing-key': key, mandatory: random.chance(0.25) }
    const bodies = Array.from({ length: 1 + random.below(4) }, () => this.#body())
    this.#steps.push({ do: 'publish', at: this.#place(), fields, bodies, properties: this.#properties() })
  }

  #body(): string {
    const name = `m${this.#bodies++}`
    return this.#random.chance(0.1) ? name.padEnd(20, '.') : name
  }

  #properties(): Properties {
    const random = this.#random
    const properties: Record<string, Properties[string]> = {}
    if (random.chance(0.2)) properties['delivery-mode'] = 1 + random.below(2)
    if (random.chance(0.3)) properties['priority'] = random.below(12)
    if (random.chance(0.1)) properties['correlation-id'] = `id-${random.below(9)}`
    if (random.chance(0.05)) properties['user-id'] = 'guest'
    if (this.#expirations) properties['expiration'] = String(SHORT_MS)
    else if (random.chance(0.05)) properties['expiration'] = '60000'
    const headers = this.#headers()
    if (headers !== null) properties['headers'] = headers
    return properties
  }

  #headers(): Table | null {
    const random = this.#random
    const headers: Record<string, Table[string]> = {}
    if (random.chance(0.2)) headers['h'] = random.pick([1, 2, 'one', true])
    if (random.chance(0.1)) headers['i'] = random.below(2)
    if (random.chance(0.05)) headers['CC'] = [random.pick(KEYS), random.pick(KEYS)]
    if (random.chance(0.03)) headers['BCC'] = [random.pick(KEYS)]
    return Object.keys(headers).length > 0 ? headers : null
  }

  #get(): void {
    this.#call(this.#place(), 'basic.get', { queue: this.#random.pick(QUEUES), 'no-ack': this.#random.chance(0.3) })
  }

  #consume(): void {
    const random = this.#random
    const args: Record<string, Table[string]> = {}
    if (random.chance(0.2)) args['x-priority'] = random.below(3) - 1
    this.#call(this.#place(), 'basic.consume', {
      queue: random.pick(QUEUES),
      'consumer-tag': `c${this.#consumers++}`,
      'no-ack': !this.#limitsChannels && random.chance(0.4),
      exclusive: random.chance(0.07),
      nowait: random.chance(0.05),
      arguments: args,
    })
  }

  #settle(): void {
    const random = this.#random
    this.#steps.push({
      do: 'settle',
      at: this.#place(),
      method: random.pick(['basic.ack', 'basic.ack', 'basic.nack', 'basic.nack', 'basic.reject']),
      nth: random.chance(0.02) ? -1 : random.below(4),
      multiple: random.chance(0.3),
      requeue: random.chance(0.5),
    })
  }

  #declareQueue(queue: string): void {
    const random = this.#random
    const before = this.#declared.get(queue)
    const fields =
      before !== undefined && random.chance(0.6)
        ? before
        : {
            queue,
            durable: random.chance(0.3),
            exclusive: random.chance(0.08),
            'auto-delete': random.chance(0.1),
            arguments: this.#queueArguments(),
          }
    this.#declared.set(queue, fields)
    this.#call(this.#place(), 'queue.declare', fields)
  }

  #queueArguments(): Table {
    const random = this.#random
    const args: Record<string, Table[string]> = {}
    if (this.#timed && !this.#expirations && random.chance(0.7)) args['x-message-ttl'] = random.pick([0, SHORT_MS])
    if (!this.#timed && random.chance(0.05)) args['x-message-ttl'] = 60_000
    if (this.#timed && random.chance(0.1)) args['x-expires'] = SHORT_MS
    if (random.chance(0.2)) args['x-max-length'] = random.below(4)
    if (random.chance(0.05)) args['x-max-length-bytes'] = 10 + random.below(30)
    if (random.chance(0.2)) args['x-overflow'] = random.pick(['drop-head', 'reject-publish', 'reject-publish-dlx'])
    if (!this.#expirations && random.chance(0.3)) {
      args['x-dead-letter-exchange'] = random.pick(['', '', ...EXCHANGES])
      if (random.chance(0.5)) args['x-dead-letter-routing-key'] = random.pick([...QUEUES, ...KEYS])
    }
    if (random.chance(0.15)) args['x-max-priority'] = random.below(5)
    if (random.chance(0.1)) args['x-single-active-consumer'] = random.chance(0.9)
    return args
  }

  #deleteQueue(): void {
    const random = this.#random
    const fields = { queue: random.pick(QUEUES), 'if-unused': random.chance(0.3), 'if-empty': random.chance(0.3) }
    this.#call(this.#place(), 'queue.delete', fields)
  }

  #declareExchange(exchange: string): void {
    const random = this.#random
    const args: Record<string, Table[string]> = {}
    if (random.chance(0.2)) args['alternate-exchange'] = random.pick([...EXCHANGES, 'amq.fanout'])
    this.#call(this.#place(), 'exchange.declare', {
      exchange,
      type: random.pick(EXCHANGE_TYPES),
      durable: random.chance(0.3),
      'auto-delete': random.chance(0.1),
      internal: random.chance(0.05),
      arguments: args,
    })
  }

  #deleteExchange(): void {
    const exchange = this.#random.pick(EXCHANGES)
    this.#call(this.#place(), 'exchange.delete', { exchange, 'if-unused': this.#random.chance(0.4) })
  }

  #bind(): void {
    const random = this.#random
    if (random.chance(0.2)) this.#call(this.#place(), 'exchange.bind', this.#exchangeBinding())
    else this.#call(this.#place(), 'queue.bind', this.#queueBinding())
  }

  #unbind(): void {
    const random = this.#random
    const earlier = this.#steps.flatMap((step) =>
      step.do === 'call' && step.method.endsWith('.bind') ? [{ method: step.method, fields: step.fields }] : [],
    )
    const known = earlier.length > 0 && random.chance(0.7) ? random.pick(earlier) : null
    const { method, fields } = known ?? { method: 'queue.bind', fields: this.#queueBinding() }
    this.#call(this.#place(), method.replace('.bind', '.unbind'), fields)
  }

  #queueBinding(): FieldsInput {
    const random = this.#random
    const exchange = random.pick([...EXCHANGES, ...EXCHANGES, 'amq.topic', 'amq.fanout', 'amq.match'])
    return {
      queue: random.pick(QUEUES),
      exchange,
      'routing-key': random.pick(PATTERNS),
      arguments: this.#bindingArguments(exchange === 'amq.match' ? 1 : 0.2),
    }
  }

  #exchangeBinding(): FieldsInput {
    const random = this.#random
    return {
      destination: random.pick(EXCHANGES),
      source: random.pick([...EXCHANGES, 'amq.topic', 'amq.fanout']),
      'routing-key': random.pick(PATTERNS),
      arguments: this.#bindingArguments(0.1),
    }
  }

  #bindingArguments(probability: number): Table {
    const random = this.#random
    const args: Record<string, Table[string]> = {}
    if (!random.chance(probability)) return args
    if (random.chance(0.7)) args['x-match'] = random.pick(['all', 'any', 'all-with-x', 'any-with-x', 'some'])
    if (random.chance(0.7)) args['h'] = random.pick([1, 2, 'one', true, null])
    if (random.chance(0.4)) args['i'] = random.below(2)
    return args
  }

  #qos(): void {
    const random = this.#random
    const fields = { 'prefetch-count': random.below(4), global: this.#limitsChannels && random.chance(0.5) }
    this.#call(this.#place(), 'basic.qos', fields)
  }

  #close(): void {
    this.#steps.push({ do: 'close', at: this.#place(), what: this.#random.chance(0.6) ? 'channel' : 'connection' })
  }

  /** Something that no broker takes. */
  #mistake(): void {
    const random = this.#random
    const at = this.#place()
    const queue = random.pick(QUEUES)
    const declare = (args: Table): void => this.#call(at, 'queue.declare', { queue: 'never', arguments: args })
    const publish = (properties: Properties, fields: PublishFields = { exchange: 'amq.fanout' }): void => {
      const place = fields.immediate ? CLUMSY : at
      this.#steps.push({ do: 'publish', at: place, fields, bodies: [this.#body()], properties })
    }
    const mistakes: readonly (() => void)[] = [
      () => this.#call(at, 'basic.get', { queue: 'never' }),
      () => this.#call(at, 'basic.consume', { queue: 'never' }),
      () => this.#call(at, 'basic.consume', { queue, arguments: { 'x-priority': 'high' } }),
      () => this.#call(at, 'queue.declare', { queue: 'amq.mine' }),
      () => this.#call(at, 'exchange.declare', { exchange: 'amq.mine', type: 'direct' }),
      () => this.#call(at, 'exchange.delete', { exchange: 'amq.direct' }),
      () => this.#call(at, 'exchange.delete', { exchange: '' }),
      () => this.#call(at, 'queue.bind', { queue, exchange: '', 'routing-key': 'a' }),
      () => this.#call(CLUMSY, 'basic.recover', { requeue: false }),
      () => this.#call(CLUMSY, 'basic.qos', { 'prefetch-size': 1 }),
      () => this.#call(CLUMSY, 'channel.flow', { active: false }),
      () => this.#call(at, 'queue.declare', { queue: '', passive: true }),
      () => declare({ 'x-message-ttl': -1 }),
      () => declare({ 'x-message-ttl': 'soon' }),
      () => declare({ 'x-message-ttl': 315_360_000_001n }),
      () => declare({ 'x-expires': 0 }),
      () => declare({ 'x-max-length': -1 }),
      () => declare({ 'x-max-length': 1.5 }),
      () => declare({ 'x-max-length-bytes': 'many' }),
      () => declare({ 'x-max-priority': 256 }),
      () => declare({ 'x-max-priority': -1 }),
      () => declare({ 'x-overflow': 'explode' }),
      () => declare({ 'x-overflow': 1 }),
      () => declare({ 'x-dead-letter-exchange': 1 }),
      () => declare({ 'x-dead-letter-routing-key': 'a' }),
      () => declare({ 'x-single-active-consumer': 'yes' }),
      () => declare({ 'x-queue-type': 'heap' }),
      () => declare({ 'x-queue-type': 1 }),
      () => publish({ expiration: 'abc' }),
      () => publish({ expiration: '10ms' }),
      () => publish({ expiration: '-1' }),
      () => publish({ 'user-id': 'somebody' }),
      () => publish({ headers: { CC: 1 } }),
      () => publish({ headers: { BCC: [1] } }),
      () => publish({}, { immediate: true }),
      () => publish({}, { exchange: 'never' }),
    ]
    random.pick(mistakes)()
  }
}
