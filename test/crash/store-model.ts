// What a store must hold after a crash: its state as it was at one moment, and at none before what it had promised.
import { isDeepStrictEqual } from 'node:util'

/** What is done to a store, and what it answers. Plain, so that another process can write it down. */
export type StoreEvent =
  | {
      readonly kind: 'append'
      readonly log: number
      readonly position: number
      readonly size: number
      readonly redelivered: boolean
    }
  /** Settled before it was written: it never is. */
  | { readonly kind: 'strike'; readonly log: number; readonly position: number }
  | { readonly kind: 'settle'; readonly log: number; readonly position: number }
  | { readonly kind: 'delivered'; readonly log: number; readonly position: number }
  /** It came back, for so many times. */
  | { readonly kind: 'tried'; readonly log: number; readonly position: number; readonly times: number }
  | { readonly kind: 'discard'; readonly log: number; readonly from: number; readonly below: number }
  | { readonly kind: 'drop'; readonly log: number }
  | { readonly kind: 'save'; readonly name: string; readonly value: string }
  | { readonly kind: 'remove'; readonly name: string }
  /** What was done since the last turn began goes to the disk together. */
  | { readonly kind: 'turn' }
  | { readonly kind: 'accepted'; readonly log: number; readonly position: number }
  /** The first so many turns are on disk. */
  | { readonly kind: 'durable'; readonly turns: number }

/** A message that a store held when it was opened. */
export interface FoundMessage {
  readonly size: number
  readonly redelivered: boolean
  /** How often it was tried. */
  readonly tried: number
}

/** What a store held when it was opened. */
export interface FoundState {
  readonly definitions: ReadonlyMap<string, string>
  readonly logs: ReadonlyMap<number, FoundLog>
}

export interface FoundLog {
  readonly next: number
  readonly messages: ReadonlyMap<number, FoundMessage>
}

interface LogState {
  readonly messages: Map<number, { readonly size: number; redelivered: boolean; tried: number }>
  /** Above every position that was stored. */
  next: number
  /** Whether anything was ever handed to somebody. */
  delivered: boolean
}

class State {
  readonly definitions = new Map<string, string>()
  readonly logs = new Map<number, LogState>()

  log(id: number): LogState {
    let log = this.logs.get(id)
    if (log === undefined) this.logs.set(id, (log = { messages: new Map(), next: 0, delivered: false }))
    return log
  }

  apply(event: StoreEvent, struck: ReadonlySet<string>): void {
    switch (event.kind) {
      case 'append': {
        if (struck.has(keyOf(event))) return
        const log = this.log(event.log)
        log.messages.set(event.position, { size: event.size, redelivered: event.redelivered, tried: 0 })
        log.next = Math.max(log.next, event.position + 1)
        return
      }
      case 'settle':
        this.log(event.log).messages.delete(event.position)
        return
      case 'delivered': {
        const log = this.log(event.log)
        log.delivered = true
        const message = log.messages.get(event.position)
        if (message !== undefined) message.redelivered = true
        return
      }
      case 'tried': {
        const message = this.log(event.log).messages.get(event.position)
        if (message !== undefined) message.tried = event.times
        return
      }
      case 'discard': {
        const { messages } = this.log(event.log)
        for (const position of messages.keys()) {
          if (position >= event.from && position < event.below) messages.delete(position)
        }
        return
      }
      case 'drop':
        this.logs.delete(event.log)
        return
      case 'save':
        this.definitions.set(event.name, event.value)
        return
      case 'remove':
        this.definitions.delete(event.name)
        return
      case 'strike':
      case 'turn':
      case 'accepted':
      case 'durable':
    }
  }

  /** The first difference to what was found, or null. */
  differs(found: FoundState, delivered: ReadonlySet<number>): string | null {
    if (!isDeepStrictEqual(found.definitions, this.definitions)) {
      return `definitions ${show(found.definitions)} instead of ${show(this.definitions)}`
    }
    for (const id of new Set([...this.logs.keys(), ...found.logs.keys()])) {
      const difference = logDiffers(this.log(id), found.logs.get(id), delivered.has(id))
      if (difference !== null) return `log ${id}: ${difference}`
    }
    return null
  }
}

const NOTHING: FoundLog = { next: 0, messages: new Map() }

function logDiffers(log: LogState, found = NOTHING, delivered: boolean): string | null {
  if (found !== NOTHING && found.next < log.next) return `goes on at ${found.next}, below ${log.next}`
  for (const [position, { size, redelivered, tried }] of log.messages) {
    const message = found.messages.get(position)
    if (message === undefined) return `message ${position} is missing`
    if (message.size !== size) return `message ${position} has ${message.size} bytes instead of ${size}`
    if (message.tried !== tried) return `message ${position} was tried ${message.tried} times instead of ${tried}`
    if (redelivered && !message.redelivered) return `message ${position} is not marked as redelivered`
    if (!redelivered && message.redelivered && !delivered) return `message ${position} is marked as redelivered`
  }
  for (const position of found.messages.keys()) {
    if (!log.messages.has(position)) return `message ${position} should not be there`
  }
  return null
}

/**
 * Follows what is done to a store. Changes of one turn are one fact, and turns do not overtake one another: so after a
 * crash the store holds what it held after some turn, and not before the last one that it said was on disk.
 */
export class StoreModel {
  #base = new State()
  #turns: StoreEvent[][] = []
  #turn: StoreEvent[] = []
  /** The messages that were never written. */
  readonly #struck = new Set<string>()
  readonly #appendedIn = new Map<string, number>()
  /** Logs something of which was handed to somebody. */
  readonly #delivered = new Set<number>()
  #durableTurns = 0

  /** The number of turns that are complete. */
  get turns(): number {
    return this.#turns.length
  }

  apply(event: StoreEvent): void {
    switch (event.kind) {
      case 'turn':
        this.#turns.push(this.#turn)
        this.#turn = []
        return
      case 'durable':
        this.#durableTurns = Math.max(this.#durableTurns, event.turns)
        return
      case 'accepted':
        this.#durableTurns = Math.max(this.#durableTurns, this.#appendedIn.get(keyOf(event))! + 1)
        return
      case 'strike':
        this.#struck.add(keyOf(event))
        return
      case 'append':
        this.#appendedIn.set(keyOf(event), this.#turns.length)
        break
      case 'delivered':
        this.#delivered.add(event.log)
        break
      case 'tried':
      case 'settle':
      case 'discard':
      case 'drop':
      case 'save':
      case 'remove':
    }
    this.#turn.push(event)
  }

  /** All logs that there are, or were. */
  get logs(): Set<number> {
    const logs = new Set(this.#base.logs.keys())
    for (const turn of [...this.#turns, this.#turn]) for (const event of turn) if ('log' in event) logs.add(event.log)
    return logs
  }

  /**
   * The store was opened again and held this. Throws unless it is what it held at one moment since its last promise.
   * From there it goes on.
   */
  opened(found: FoundState): void {
    const state = this.#base
    const differences: string[] = []
    const turns = [...this.#turns, this.#turn]
    for (let after = 0; after <= turns.length; after++) {
      if (after >= this.#durableTurns) {
        const difference = state.differs(found, this.#delivered)
        if (difference === null) {
          this.#goOn(found)
          return
        }
        differences.push(`after turn ${after} of ${turns.length}: ${difference}`)
      }
      for (const event of turns[after] ?? []) state.apply(event, this.#struck)
    }
    throw new Error(['the store holds what it never held since its last promise', ...differences].join('\n  '))
  }

  #goOn(found: FoundState): void {
    this.#base = new State()
    for (const [name, value] of found.definitions) this.#base.definitions.set(name, value)
    for (const [id, { next, messages }] of found.logs) {
      const log = this.#base.log(id)
      log.next = next
      for (const [position, message] of messages) log.messages.set(position, { ...message })
    }
    this.#turns = []
    this.#turn = []
    this.#struck.clear()
    this.#appendedIn.clear()
    this.#durableTurns = 0
  }
}

function keyOf({ log, position }: { readonly log: number; readonly position: number }): string {
  return `${log}/${position}`
}

function show(definitions: ReadonlyMap<string, string>): string {
  return JSON.stringify([...definitions])
}
