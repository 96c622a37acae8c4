// Programs with classic queues.
import type { FieldsInput, Properties } from '../support/codec.ts'
import type { Table, Value } from '../support/field-values.ts'
import type { Random } from '../support/random.ts'
import { alteredArguments, classicArguments, KEYS, type Setting } from './arguments.ts'
import { mistake } from './mistakes.ts'
import { EXCHANGES, QUEUES } from './names.ts'
import { operation } from './operations.ts'
import { policyStep } from './policies.ts'
import type { Place, Step } from './program.ts'
import { SHORT_MS } from './times.ts'

const EXCHANGE_TYPES = ['direct', 'fanout', 'topic', 'headers']
/** The exchange that is of one of these types in some programs. */
const SPECIAL = 'x2'
/** Those that choose among destinations have one: no two brokers choose alike. */
const CHOOSING_TYPES = ['x-consistent-hash', 'x-random', 'x-modulus-hash']
const SPECIAL_TYPES = ['x-recent-history', 'x-recent-history', ...CHOOSING_TYPES]
/** The methods that may go without an answer. */
const NOWAIT = /^(queue|exchange)\.(declare|delete|purge|bind|unbind)$/
const PATTERNS = ['#', '*', 'a.*', 'a.#', '*.b', '#.c', 'a.#.c', '*.*', '#.b.#', ...KEYS]
const HEADERS: readonly Value[] = [1, 2, 'one', true, 1.5, 1n, 'two']

/** Writes one program. */
export class ClassicAuthor {
  readonly #random: Random
  readonly #setting: Setting
  /** Whether channels are limited as a whole; see differences.ts. */
  readonly #limitsChannels: boolean
  /** Whether operators take part. */
  readonly #policies: boolean
  /** The type of the special exchange, if there is one. */
  readonly #special: string | null
  readonly #steps: Step[] = []
  readonly #declared = new Map<string, FieldsInput>()
  /** The channels that may have something unacknowledged from basic.get; see differences.ts. */
  readonly #fetching = new Set<string>()
  #bodies = 0
  #consumers = 0

  constructor(random: Random, timed: boolean) {
    this.#random = random
    this.#setting = { timed, expirations: timed && random.chance(0.4), limited: random.chance(0.15) }
    this.#limitsChannels = random.chance(0.4)
    this.#policies = random.chance(0.4)
    this.#special = random.chance(0.15) ? random.pick(SPECIAL_TYPES) : null
  }

  steps(): readonly Step[] {
    const random = this.#random
    const { timed } = this.#setting
    if (this.#policies && random.chance(0.6)) this.#operate()
    for (const client of [0, 1]) {
      for (const channel of [1, 2]) this.#mode({ client, channel })
    }
    for (const queue of QUEUES) if (random.chance(0.7)) this.#declareQueue(queue)
    for (const exchange of EXCHANGES) if (random.chance(0.5)) this.#declareExchange(exchange)
    for (let bindings = random.below(4); bindings > 0; bindings--) this.#bind()
    const length = timed ? 5 + random.below(8) : 8 + random.below(24)
    for (let i = 0; i < length; i++) this.#anything()
    return this.#steps
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
      [2, () => this.#call(this.#place(), 'queue.purge', { queue: this.#queueName() })],
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
      [this.#setting.limited ? 0 : 3, () => this.#mistake()],
      [this.#policies && !this.#setting.timed ? 8 : 0, () => this.#operate()],
      [this.#policies && !this.#setting.timed ? 8 : 0, () => this.#operation()],
    ]
    let weight = random.below(choices.reduce((sum, [share]) => sum + share, 0))
    for (const [share, choice] of choices) {
      weight -= share
      if (weight < 0) return choice()
    }
  }

  /** In timed programs only at the start: all that waits in a queue is to live equally long. */
  #operate(): void {
    this.#steps.push(policyStep(this.#random, this.#setting))
  }

  #operation(): void {
    const body = (): string => this.#body()
    this.#steps.push(operation(this.#random, this.#setting, body, (exchange) => this.#chooses(exchange)))
  }

  /** Whether an exchange chooses among destinations. */
  #chooses(exchange: string): boolean {
    return exchange === SPECIAL && CHOOSING_TYPES.includes(this.#special ?? '')
  }

  #place(): Place {
    return { client: this.#random.below(2), channel: 1 + this.#random.below(2) }
  }

  #call(at: Place, method: string, fields: FieldsInput = {}): void {
    const nowait = NOWAIT.test(method) && fields['passive'] !== true && this.#random.chance(0.04)
    this.#steps.push({ do: 'call', at, method, fields: nowait ? { ...fields, nowait } : fields })
  }

  /** A queue by its name; now and then the one that the channel has declared last. */
  #queueName(): string {
    return this.#random.chance(0.04) ? '' : this.#random.pick(QUEUES)
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
    if (random.chance(0.05)) properties['content-type'] = 'text/plain'
    if (random.chance(0.05)) properties['message-id'] = `m-${random.below(9)}`
    if (random.chance(0.05)) properties['reply-to'] = random.pick(QUEUES)
    if (random.chance(0.05)) properties['timestamp'] = 1_700_000_000n
    if (this.#setting.expirations) properties['expiration'] = String(SHORT_MS)
    else if (random.chance(0.05)) properties['expiration'] = '60000'
    const headers = this.#headers()
    if (headers !== null) properties['headers'] = headers
    return properties
  }

  #headers(): Table | null {
    const random = this.#random
    const headers: Record<string, Value> = {}
    if (random.chance(0.2)) headers['h'] = random.pick(HEADERS)
    if (random.chance(0.1)) headers['i'] = random.below(2)
    if (random.chance(0.05)) headers['CC'] = [random.pick(KEYS), random.pick(KEYS)]
    if (random.chance(0.04)) headers['BCC'] = [random.pick(KEYS)]
    if (random.chance(0.02)) headers['x-match'] = 'none'
    return Object.keys(headers).length > 0 ? headers : null
  }

  #get(): void {
    const at = this.#place()
    const queue = this.#queueName()
    const noAck = this.#random.chance(0.3)
    if (!noAck) this.#fetching.add(JSON.stringify(at))
    this.#call(at, 'basic.get', { queue, 'no-ack': noAck })
  }

  #consume(): void {
    const random = this.#random
    const args: Record<string, Value> = {}
    if (random.chance(0.2)) args['x-priority'] = random.below(5) - 2
    this.#call(this.#place(), 'basic.consume', {
      queue: this.#queueName(),
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
      before === undefined || random.chance(0.2)
        ? this.#queue(queue)
        : this.#setting.limited || random.chance(0.6)
          ? before
          : this.#altered(before)
    this.#declared.set(queue, fields)
    this.#call(this.#place(), 'queue.declare', fields)
  }

  #queue(queue: string): FieldsInput {
    const random = this.#random
    const exclusive = random.chance(0.08)
    return {
      queue,
      // Of durable queues that are exclusive see differences.ts.
      durable: !exclusive && random.chance(0.3),
      exclusive,
      'auto-delete': random.chance(0.1),
      arguments: classicArguments(random, this.#setting),
    }
  }

  /** Nearly the same declaration. */
  #altered(before: FieldsInput): FieldsInput {
    const random = this.#random
    if (random.chance(0.15)) return { ...before, 'auto-delete': before['auto-delete'] !== true }
    if (random.chance(0.15) && before['exclusive'] !== true) return { ...before, durable: before['durable'] !== true }
    if (random.chance(0.1) && before['durable'] !== true) return { ...before, exclusive: before['exclusive'] !== true }
    const fresh = classicArguments(random, this.#setting)
    return { ...before, arguments: alteredArguments(random, before['arguments'] as Table, fresh) }
  }

  #deleteQueue(): void {
    const random = this.#random
    const fields = { queue: this.#queueName(), 'if-unused': random.chance(0.3), 'if-empty': random.chance(0.3) }
    this.#call(this.#place(), 'queue.delete', fields)
  }

  #declareExchange(exchange: string): void {
    const random = this.#random
    const args: Record<string, Value> = {}
    if (random.chance(0.2)) args['alternate-exchange'] = random.pick([...EXCHANGES, 'amq.fanout'])
    const type = exchange === SPECIAL ? this.#special : null
    if (type === 'x-recent-history' && random.chance(0.5)) args['x-recent-history-length'] = 1 + random.below(3)
    if (type === 'x-consistent-hash' && random.chance(0.3)) args['hash-header'] = 'h'
    this.#call(this.#place(), 'exchange.declare', {
      exchange,
      type: type ?? random.pick(EXCHANGE_TYPES),
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
    const chooses = this.#chooses(exchange)
    return {
      queue: chooses ? QUEUES[0]! : random.pick(QUEUES),
      exchange,
      'routing-key': chooses ? random.pick(['1', '2', '1', 'a']) : random.pick(PATTERNS),
      arguments: this.#bindingArguments(exchange === 'amq.match' ? 1 : 0.2),
    }
  }

  #exchangeBinding(): FieldsInput {
    const random = this.#random
    return {
      destination: random.pick(EXCHANGES),
      source: random.pick([...(this.#special === null ? EXCHANGES : ['x0', 'x1']), 'amq.topic', 'amq.fanout']),
      'routing-key': random.pick(PATTERNS),
      arguments: this.#bindingArguments(0.1),
    }
  }

  #bindingArguments(probability: number): Table {
    const random = this.#random
    const args: Record<string, Value> = {}
    if (!random.chance(probability)) return args
    if (random.chance(0.7)) args['x-match'] = random.pick(['all', 'any', 'all-with-x', 'any-with-x', 'some'])
    if (random.chance(0.7)) args['h'] = random.pick([...HEADERS, null])
    if (random.chance(0.4)) args['i'] = random.below(2)
    if (random.chance(0.1)) args['x-other'] = 1
    return args
  }

  #qos(): void {
    const random = this.#random
    const count = random.below(4)
    const whole = this.#limitsChannels && random.chance(0.5)
    const at = this.#place()
    const global = whole && !this.#fetching.has(JSON.stringify(at))
    this.#call(at, 'basic.qos', { 'prefetch-count': count, global })
  }

  #close(): void {
    this.#steps.push({ do: 'close', at: this.#place(), what: this.#random.chance(0.6) ? 'channel' : 'connection' })
  }

  #mistake(): void {
    this.#steps.push(mistake(this.#random, this.#place(), () => this.#body()))
  }
}
