// What is done to a store at random: appends, settles, deliveries, definitions, discards, drops and spills.
import { isDeepStrictEqual } from 'node:util'
import type { Definition } from '../../src/core/definitions.ts'
import type { Message } from '../../src/core/message.ts'
import type { Publisher, QueueLog, Store, StoredMessage } from '../../src/core/ports.ts'
import { Entry, Stored } from '../../src/core/queue/entry.ts'
import { NO_ARGUMENTS } from '../../src/core/value.ts'
import { queueNamed } from '../support/core.ts'
import { bodyOf, entryOf, propertiesOf, readAll } from '../support/store.ts'
import type { Random } from './random.ts'
import type { FoundLog, FoundMessage, FoundState, StoreEvent } from './store-model.ts'

/** How large messages are, and how far apart: what makes pages, fragments and merges of different shapes. */
interface Shape {
  readonly size: readonly [number, number]
  readonly burst: number
  readonly step: number
}

const SHAPES: readonly Shape[] = [
  { size: [0, 100], burst: 40, step: 1 },
  { size: [0, 100], burst: 3, step: 1 },
  // A page is full after about ten: it is merged when they came one a batch.
  { size: [12_000, 16_000], burst: 3, step: 1 },
  // Each is a page of its own, so that discards and drops are long enough to be done in slices.
  { size: [0, 20], burst: 500, step: 5_000 },
  { size: [60_000, 80_000], burst: 3, step: 1 },
]

const LOGS_MAX = 5
const queue = queueNamed('q')
const VHOSTS = 3

interface OpenLog {
  readonly log: QueueLog
  readonly shape: Shape
  readonly entries: Map<number, Entry>
  /** How often messages were tried. */
  readonly tried: Map<number, number>
  next: number
}

/** One run of a random program over a store, from its opening to a crash. Tells `emit` what it does. */
export class StoreProgram {
  readonly #store: Store
  readonly #random: Random
  readonly #emit: (event: StoreEvent) => void
  readonly #damaged: boolean
  readonly #logs = new Map<number, OpenLog>()
  readonly #vhosts = new Map<string, number>()
  readonly #spills: OpenLog[] = []
  #turns = 0
  #sequence = 0
  readonly #published = new Map<number, { readonly log: number; readonly entry: Entry }>()
  readonly #publisher: Publisher = {
    accepted: (sequence) => {
      const { log, entry } = this.#published.get(sequence)!
      this.#published.delete(sequence)
      if (entry.stored === Stored.written) this.#emit({ kind: 'accepted', log, position: entry.position })
    },
    refused: (sequence) => {
      throw new Error(`the store refused message ${sequence}`)
    },
  }

  /** `damaged`: the store may hold less than it counted. */
  constructor(store: Store, random: Random, emit: (event: StoreEvent) => void, damaged = false) {
    this.#store = store
    this.#random = random
    this.#emit = emit
    this.#damaged = damaged
  }

  /** Takes over what the store held. Returns it, after having looked at every byte. */
  async open(definitions: readonly Definition[], more: Iterable<number> = []): Promise<FoundState> {
    const found = { definitions: new Map<string, string>(), logs: new Map<number, FoundLog>() }
    for (const definition of definitions) {
      if (definition.kind === 'queue') {
        found.definitions.set(queueName(definition.log), String(definition.log))
        const messages = await this.#openLog(definition.log)
        found.logs.set(definition.log, { next: this.#logs.get(definition.log)!.next, messages })
      } else if (definition.kind === 'vhost') {
        found.definitions.set(definition.name, definition.description)
        this.#vhosts.set(definition.name, Number(definition.description))
      } else throw new Error(`the store made up a definition of the kind ${definition.kind}`)
    }
    for (const id of more) if (!found.logs.has(id)) await expectEmpty(this.#store.log(id))
    return found
  }

  /**
   * Takes over what another program found in a copy of the store, without looking for it: the logs of this one take
   * messages before it is known what they held. That must be the same when it is.
   */
  adopt(other: StoreProgram): void {
    for (const [name, version] of other.#vhosts) this.#vhosts.set(name, version)
    for (const [id, open] of other.#logs) {
      const log = this.#store.log(id)
      const held = open.log.recovered
      log.whenOpened(() => {
        if (!isDeepStrictEqual(log.recovered, held)) throw new Error(`log ${id} held something else`)
      })
      if (log.next !== open.log.next) throw new Error(`log ${id} goes on at ${log.next} instead of ${open.log.next}`)
      this.#logs.set(id, { ...open, log })
    }
  }

  /** The messages that are in the logs now, by log. */
  get live(): ReadonlyMap<number, readonly number[]> {
    return new Map([...this.#logs].map(([id, { entries }]) => [id, [...entries.keys()]]))
  }

  /** Does some things that belong together. */
  turn(): void {
    for (let actions = this.#random.skewed(1, 6); actions > 0; actions--) this.#act()
    this.#turns++
    if (this.#random.chance(0.3)) {
      const turns = this.#turns
      this.#store.whenDurable(() => this.#emit({ kind: 'durable', turns }))
    }
    this.#emit({ kind: 'turn' })
  }

  /** Adds messages, and nothing else, so that there are many. */
  pile(): void {
    if (this.#logs.size === 0) this.#make()
    this.#append(this.#random.pick([...this.#logs.values()]))
    this.#turns++
    this.#emit({ kind: 'turn' })
  }

  /** Settles everything, and forgets every definition. */
  empty(): void {
    for (const id of [...this.#logs.keys()]) this.#drop(id)
    for (const name of this.#vhosts.keys()) this.#remove(name)
    this.#vhosts.clear()
    for (const spill of this.#spills.splice(0)) spill.log.drop()
    this.#turns++
    this.#emit({ kind: 'turn' })
  }

  /** Reads everything back and compares it with what is in the logs at the same time. */
  async expectReadable(): Promise<void> {
    for (const [id, { log, entries, tried }] of this.#logs) {
      const expected = [...entries.keys()]
      const times = expected.map((position) => tried.get(position) ?? 0)
      await opened(log)
      const found = await readAll(log)
      const positions = found.map(({ position }) => position)
      if (positions.join() !== expected.join()) {
        throw new Error(`log ${id} reads as ${positions.join()} instead of ${expected.join()}`)
      }
      if (found.map(triedOften).join() !== times.join()) throw new Error(`log ${id} has forgotten what was tried`)
      for (const message of found) expectIntact(id, message)
    }
  }

  async #openLog(id: number): Promise<Map<number, FoundMessage>> {
    const log = this.#store.log(id)
    const messages = new Map<number, FoundMessage>()
    const entries = new Map<number, Entry>()
    await opened(log)
    for (const found of await readAll(log)) {
      expectIntact(id, found)
      const { position, message, redelivered } = found
      const entry = new Entry(queue, message, position)
      entry.stored = Stored.written
      entry.redelivered = redelivered
      entries.set(position, entry)
      messages.set(position, { size: message.bodyBytes, redelivered, tried: triedOften(found) })
    }
    if (!this.#damaged) expectCounted(log, messages)
    const tried = new Map(Array.from(messages, ([position, message]) => [position, message.tried]))
    this.#logs.set(id, { log, shape: this.#random.pick(SHAPES), entries, tried, next: log.next })
    return messages
  }

  #act(): void {
    const random = this.#random
    const dice = random.next()
    if (this.#logs.size === 0 || (dice < 0.05 && this.#logs.size < LOGS_MAX)) this.#make()
    else if (dice < 0.4) this.#append(random.pick([...this.#logs.values()]))
    else if (dice < 0.45) this.#fanOut()
    else if (dice < 0.65) this.#settleSome()
    else if (dice < 0.72) this.#deliverSome()
    else if (dice < 0.75) this.#trySome()
    else if (dice < 0.8) this.#move()
    else if (dice < 0.84) this.#discard()
    else if (dice < 0.855) this.#drop(random.pick([...this.#logs.keys()]))
    else if (dice < 0.95) this.#define()
    else this.#spill()
  }

  #make(): void {
    const log = this.#store.log()
    if (log.next !== 0) throw new Error(`the id ${log.id} was given twice`)
    this.#logs.set(log.id, openLog(log, this.#random.pick(SHAPES)))
    this.#save(queueName(log.id), String(log.id))
  }

  #append(open: OpenLog): void {
    const count = this.#random.skewed(1, open.shape.burst)
    for (let i = 0; i < count; i++) this.#appendOne(open, this.#random.int(...open.shape.size))
  }

  #appendOne(open: OpenLog, size: number, noted = true): void {
    const position = this.#place(open)
    this.#enlist(open, position, messageFor([labelOf(open.log.id, position)], size), noted)
  }

  /** One message goes to all logs, which have the body of a large one in common. */
  #fanOut(): void {
    const size = this.#random.chance(0.5) ? this.#random.int(5_000, 20_000) : this.#random.int(0, 100)
    const places = Array.from(this.#logs.values(), (open) => ({ open, position: this.#place(open) }))
    const message = messageFor(
      places.map(({ open, position }) => labelOf(open.log.id, position)),
      size,
    )
    for (const { open, position } of places) this.#enlist(open, position, message)
    const spill = this.#spills.at(-1)
    if (spill !== undefined) this.#enlist(spill, this.#place(spill), message, false)
  }

  /** The position of the next message. Transient messages take positions too, and are not stored. */
  #place(open: OpenLog): number {
    const position = open.next
    open.next += this.#random.chance(0.1) ? open.shape.step + this.#random.skewed(1, 100) : open.shape.step
    return position
  }

  #enlist({ log, entries }: OpenLog, position: number, message: Message, noted = true): void {
    const entry = new Entry(queue, message, position)
    entry.redelivered = this.#random.chance(0.05)
    entries.set(position, entry)
    if (noted) {
      const { redelivered } = entry
      this.#emit({ kind: 'append', log: log.id, position, size: message.bodyBytes, redelivered })
      this.#published.set(++this.#sequence, { log: log.id, entry })
      log.append(entry, this.#publisher, this.#sequence)
    } else log.append(entry, null, 0)
  }

  #settleSome(): void {
    const open = this.#random.pick([...this.#logs.values()])
    const entries = known(open)
    if (entries.length === 0) return
    if (this.#random.chance(0.2)) this.#random.shuffle(entries)
    const count = this.#random.skewed(1, Math.max(1, entries.length))
    for (const entry of entries.slice(0, count)) this.#settle(open, entry)
  }

  #settle({ log, entries }: OpenLog, entry: Entry): void {
    const { position } = entry
    if (entry.stored === Stored.pending) this.#emit({ kind: 'strike', log: log.id, position })
    else this.#emit({ kind: 'settle', log: log.id, position })
    entries.delete(position)
    log.settle(entry)
  }

  #deliverSome(): void {
    const open = this.#random.pick([...this.#logs.values()])
    const { log } = open
    let count = this.#random.skewed(1, 30)
    for (const { position } of known(open)) {
      this.#emit({ kind: 'delivered', log: log.id, position })
      log.delivered(position)
      if (--count === 0) return
    }
  }

  /** Messages come back from whoever had them. */
  #trySome(): void {
    const open = this.#random.pick([...this.#logs.values()])
    const { log, tried } = open
    const positions = known(open).map(({ position }) => position)
    if (this.#random.chance(0.5)) this.#random.shuffle(positions)
    for (const position of positions.slice(0, this.#random.skewed(1, 10))) {
      const times = (tried.get(position) ?? 0) + 1
      tried.set(position, times)
      this.#emit({ kind: 'tried', log: log.id, position, times })
      log.attempted(position, { deliveryCount: times, acquiredCount: times, dueAt: 0 })
    }
  }

  /** A message goes from one log to another, as with dead-lettering: it is never in both, and never in none. */
  #move(): void {
    const logs = [...this.#logs.values()]
    const from = this.#random.pick(logs)
    const [entry] = known(from)
    if (entry === undefined) return
    this.#settle(from, entry)
    this.#appendOne(this.#random.pick(logs), entry.message.bodyBytes)
  }

  #discard(): void {
    const { log, entries } = this.#random.pick([...this.#logs.values()])
    const positions = [...entries.keys()]
    if (positions.length === 0 || !log.opened) return
    const first = this.#random.chance(0.5) ? positions[0]! : this.#random.pick(positions)
    const last = this.#random.chance(0.5) ? positions.at(-1)! : this.#random.pick(positions)
    this.#strikePending(log.id, entries, first, last + 1)
    for (const position of positions) if (position >= first && position <= last) entries.delete(position)
    this.#emit({ kind: 'discard', log: log.id, from: first, below: last + 1 })
    log.discard(first, last + 1)
  }

  #drop(id: number): void {
    const { log, entries } = this.#logs.get(id)!
    this.#strikePending(id, entries, 0, Infinity)
    this.#emit({ kind: 'drop', log: id })
    this.#logs.delete(id)
    log.drop()
    this.#remove(queueName(id))
  }

  #strikePending(log: number, entries: ReadonlyMap<number, Entry>, from: number, below: number): void {
    for (const { position, stored } of entries.values()) {
      if (stored === Stored.pending && position >= from && position < below)
        this.#emit({ kind: 'strike', log, position })
    }
  }

  #define(): void {
    const name = `v${this.#random.int(1, VHOSTS)}`
    if (this.#vhosts.has(name) && this.#random.chance(0.4)) {
      this.#vhosts.delete(name)
      this.#remove(name)
      return
    }
    const version = (this.#vhosts.get(name) ?? 0) + 1
    this.#vhosts.set(name, version)
    this.#save(name, String(version))
  }

  #save(name: string, value: string): void {
    this.#emit({ kind: 'save', name, value })
    this.#store.save(definitionOf(name, value))
  }

  #remove(name: string): void {
    this.#emit({ kind: 'remove', name })
    this.#store.remove(definitionOf(name, name.slice(1)))
  }

  /** What is spilled is nobody's after a crash. It is there so that it gets into everybody's way. */
  #spill(): void {
    const spill = this.#spills.at(-1)
    if (spill === undefined || (spill.entries.size === 0 && this.#random.chance(0.5))) {
      const log = this.#store.spill()
      this.#spills.push(openLog(log, this.#random.pick(SHAPES)))
      return
    }
    if (this.#random.chance(0.3)) {
      for (const entry of spill.entries.values()) spill.log.settle(entry)
      spill.entries.clear()
      return
    }
    const count = this.#random.skewed(1, spill.shape.burst)
    for (let i = 0; i < count; i++) this.#appendOne(spill, this.#random.int(...spill.shape.size), false)
  }
}

function openLog(log: QueueLog, shape: Shape): OpenLog {
  return { log, shape, entries: new Map(), tried: new Map(), next: 0 }
}

/** The messages that somebody can have: before it is known what a log held, those that it took since. */
function known({ log, entries }: OpenLog): Entry[] {
  const all = [...entries.values()]
  return log.opened ? all : all.filter(({ position }) => position >= log.next)
}

function triedOften({ attempts }: StoredMessage): number {
  return attempts?.deliveryCount ?? 0
}

function queueName(log: number): string {
  return `q${log}`
}

function definitionOf(name: string, value: string): Definition {
  if (name.startsWith('v')) return { kind: 'vhost', name, description: value, tags: [] }
  return { kind: 'queue', vhost: '/', name, autoDelete: false, arguments: NO_ARGUMENTS, log: Number(value) }
}

/** The one place that a message belongs to; it may have several. */
function labelOf(log: number, position: number): string {
  return `${log}:${position}`
}

/** A message whose bytes say where they belong, to their end. */
function messageFor(labels: readonly string[], size: number): Message {
  const properties = labels.join()
  return entryOf(0, { body: bodyFor(properties, size), properties }).message
}

function bodyFor(properties: string, size: number): Buffer {
  return Buffer.alloc(size, `${properties}|`, 'latin1')
}

function expectIntact(log: number, found: StoredMessage): void {
  const { position, message } = found
  const properties = propertiesOf(found)
  if (!properties.split(',').includes(labelOf(log, position))) {
    throw new Error(`log ${log}: ${position} is a message with the properties ${properties}`)
  }
  if (bodyOf(found) !== bodyFor(properties, message.bodyBytes).toString('latin1')) {
    throw new Error(`log ${log}: the body of ${position} is another`)
  }
}

function expectCounted({ id, next, recovered }: QueueLog, messages: ReadonlyMap<number, FoundMessage>): void {
  const { count, bodyBytes, first } = recovered
  if (count !== messages.size) throw new Error(`log ${id} counted ${count} messages and held ${messages.size}`)
  const positions = [...messages.keys()]
  if ((positions[0] ?? first) !== first) throw new Error(`log ${id} begins at ${positions[0]} instead of ${first}`)
  if ((positions.at(-1) ?? -1) >= next) throw new Error(`log ${id} goes on at ${next} below its last message`)
  if (count === 0 && bodyBytes !== 0) throw new Error(`log ${id} is empty and has bytes`)
}

async function expectEmpty(log: QueueLog): Promise<void> {
  const found = await readAll(log)
  const { count } = log.recovered
  if (count + found.length > 0)
    throw new Error(`log ${log.id} is nobody's, and holds ${count} or ${found.length} messages`)
}

/** Waits until it is known what a log held, however long the database takes to be opened again. */
async function opened(log: QueueLog): Promise<void> {
  while (!log.opened) {
    await new Promise<void>((resolve) => log.whenOpened(resolve, () => void setImmediate(resolve)))
  }
}
