// Turns the tree of a pattern into states, and finds out whether a text reaches the last of them.
import { PatternError, type Assertion, type CharacterSet, type Node } from './parse.ts'

/** How many states a pattern may take; counted repetitions multiply them. */
const STATES_MAX = 4096

/** The steps that a pattern may take: for one text, and for all that are tried. */
export interface PatternSteps {
  readonly once: number
  readonly all: number
}

/** One state. `next` and `other` are the indexes of states that it leads to. */
type State =
  | { readonly kind: 'accept' }
  /** Leads on over one character. */
  | { readonly kind: 'set'; readonly set: CharacterSet; readonly next: number }
  /** The others lead on over nothing. */
  | { readonly kind: 'fork'; next: number; readonly other: number }
  | { readonly kind: 'assert'; readonly assertion: Assertion; readonly next: number }
  | { readonly kind: 'look'; readonly start: number; readonly negative: boolean; readonly next: number }

/**
 * States that are settled together: those of the whole pattern, or of what it looks ahead for. A segment refers to
 * segments before it only.
 */
interface Segment {
  readonly from: number
  readonly to: number
  /** Whether a state leads back to an earlier one, so that one pass over the segment may not do. */
  readonly loops: boolean
}

/**
 * The states of a pattern.
 *
 * They are run from the end of the text to its start: at each place it is known of each state whether the rest of the
 * text can be accepted from there, and this follows from the place behind it. So the cost is bounded by the number of
 * states times the length of the text (times the depth of nested loops), whatever the pattern and the text are, and
 * looking ahead is nothing special.
 */
export class Program {
  readonly #states: readonly State[]
  readonly #segments: readonly Segment[]
  readonly #start: number
  readonly #ignoreCase: boolean
  /** The steps that one text may take, and that all which are still to come may take. */
  readonly #once: number
  #left: number
  /** The steps that this text may still take. */
  #stepsLeft = 0
  /** By state: whether the rest of the text is accepted from there, at this place and at the one behind it. */
  #here: Uint8Array
  #behind: Uint8Array
  /** The character at this place, and what it is in the other cases where these do not matter. */
  #code = 0
  #lower = 0
  #upper = 0

  constructor(tree: Node, ignoreCase: boolean, steps: PatternSteps) {
    this.#once = steps.once
    this.#left = steps.all
    const compiler = new Compiler()
    this.#start = compiler.segment(tree)
    this.#states = compiler.states
    this.#segments = compiler.segments
    this.#ignoreCase = ignoreCase
    this.#here = new Uint8Array(this.#states.length)
    this.#behind = new Uint8Array(this.#states.length)
  }

  /**
   * Whether some part of the text matches.
   * @throws PatternError when that takes too many steps
   */
  found(text: string): boolean {
    this.#stepsLeft = Math.min(this.#once, this.#left)
    this.#behind.fill(0)
    for (let place = text.length; place >= 0; place--) {
      this.#here.fill(0)
      if (place < text.length) this.#look(text, place)
      for (const segment of this.#segments) this.#settle(segment, text, place)
      if (this.#here[this.#start] === 1) return true
      const behind = this.#behind
      this.#behind = this.#here
      this.#here = behind
    }
    return false
  }

  #settle(segment: Segment, text: string, place: number): void {
    for (let changed = true; changed;) {
      changed = false
      const steps = segment.to - segment.from
      this.#left -= steps
      this.#stepsLeft -= steps
      if (this.#stepsLeft < 0) throw new PatternError('it takes too many steps')
      for (let i = segment.from; i < segment.to; i++) {
        if (this.#here[i] === 1 || !this.#accepts(this.#states[i]!, text, place)) continue
        this.#here[i] = 1
        changed = segment.loops
      }
    }
  }

  #accepts(state: State, text: string, place: number): boolean {
    switch (state.kind) {
      case 'accept':
        return true
      case 'set':
        return place < text.length && this.#behind[state.next] === 1 && this.#contains(state.set)
      case 'fork':
        return this.#here[state.next] === 1 || this.#here[state.other] === 1
      case 'assert':
        return this.#here[state.next] === 1 && holds(state.assertion, text, place)
      case 'look':
        return this.#here[state.next] === 1 && (this.#here[state.start] === 1) !== state.negative
    }
  }

  #look(text: string, place: number): void {
    this.#code = text.charCodeAt(place)
    if (!this.#ignoreCase) return
    const character = text[place]!
    this.#lower = character.toLowerCase().charCodeAt(0)
    this.#upper = character.toUpperCase().charCodeAt(0)
  }

  #contains({ ranges, negated }: CharacterSet): boolean {
    let within = inRanges(ranges, this.#code)
    if (!within && this.#ignoreCase) within = inRanges(ranges, this.#lower) || inRanges(ranges, this.#upper)
    return within !== negated
  }
}

class Compiler {
  readonly states: State[] = []
  readonly segments: Segment[] = []
  /** Where what is looked ahead for starts. */
  readonly #looks = new Map<Node, number>()
  #loops = false

  /** Adds the states of a tree, those of its look-aheads first, and returns the one that it starts from. */
  segment(tree: Node): number {
    this.#lookAheads(tree)
    this.#loops = false
    const from = this.states.length
    const start = this.#add(tree, this.#push({ kind: 'accept' }))
    this.segments.push({ from, to: this.states.length, loops: this.#loops })
    return start
  }

  #lookAheads(node: Node): void {
    switch (node.kind) {
      case 'sequence':
        return node.items.forEach((item) => this.#lookAheads(item))
      case 'choice':
        return node.branches.forEach((branch) => this.#lookAheads(branch))
      case 'repeat':
        return this.#lookAheads(node.item)
      case 'look':
        this.#looks.set(node, this.segment(node.item))
        return
      case 'set':
      case 'assert':
    }
  }

  /** Adds the states of a node that leads on to the state `next`, and returns the one that it starts from. */
  #add(node: Node, next: number): number {
    switch (node.kind) {
      case 'set':
        return this.#push({ kind: 'set', set: node.set, next })
      case 'sequence':
        return node.items.reduceRight((following, item) => this.#add(item, following), next)
      case 'choice':
        return node.branches
          .map((branch) => this.#add(branch, next))
          .reduceRight((other, start) => this.#fork(start, other))
      case 'repeat':
        return this.#repeat(node.item, node.least, node.most, next)
      case 'assert':
        return this.#push({ kind: 'assert', assertion: node.assertion, next })
      case 'look':
        return this.#push({ kind: 'look', start: this.#looks.get(node)!, negative: node.negative, next })
    }
  }

  #repeat(item: Node, least: number, most: number, next: number): number {
    let start = next
    if (most === Infinity) {
      this.#loops = true
      const fork = { kind: 'fork' as const, next, other: next }
      start = this.#push(fork)
      fork.next = this.#add(item, start)
    } else {
      for (let i = least; i < most; i++) start = this.#fork(this.#add(item, start), next)
    }
    for (let i = 0; i < least; i++) start = this.#add(item, start)
    return start
  }

  #fork(next: number, other: number): number {
    return this.#push({ kind: 'fork', next, other })
  }

  #push(state: State): number {
    if (this.states.length >= STATES_MAX) throw new PatternError('it repeats too much')
    return this.states.push(state) - 1
  }
}

function inRanges(ranges: readonly number[], code: number): boolean {
  for (let i = 0; i < ranges.length; i += 2) if (code >= ranges[i]! && code <= ranges[i + 1]!) return true
  return false
}

function holds(assertion: Assertion, text: string, place: number): boolean {
  switch (assertion) {
    case 'start':
      return place === 0
    case 'end':
      return place === text.length
    case 'last-line-end':
      return place === text.length || (place === text.length - 1 && text[place] === '\n')
    case 'word-edge':
      return wordAt(text, place - 1) !== wordAt(text, place)
    case 'no-word-edge':
      return wordAt(text, place - 1) === wordAt(text, place)
  }
}

function wordAt(text: string, place: number): boolean {
  return place >= 0 && place < text.length && /\w/.test(text[place]!)
}
