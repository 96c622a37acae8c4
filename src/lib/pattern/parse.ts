// Reads a regular expression, in the part of PCRE's notation that can be matched in bounded time, into a tree.

/** A pattern that cannot be used. The message says why and where. */
export class PatternError extends Error {
  constructor(sentence: string) {
    super(sentence)
    this.name = 'PatternError'
  }
}

/** Characters by their UTF-16 code: those within the pairs of first and last, or all the others. */
export interface CharacterSet {
  readonly ranges: readonly number[]
  readonly negated: boolean
}

export type Assertion = 'start' | 'end' | 'last-line-end' | 'word-edge' | 'no-word-edge'

export type Node =
  | { readonly kind: 'set'; readonly set: CharacterSet }
  | { readonly kind: 'sequence'; readonly items: readonly Node[] }
  | { readonly kind: 'choice'; readonly branches: readonly Node[] }
  | { readonly kind: 'repeat'; readonly item: Node; readonly least: number; readonly most: number }
  | { readonly kind: 'assert'; readonly assertion: Assertion }
  | { readonly kind: 'look'; readonly item: Node; readonly negative: boolean }

/** How long a pattern may be. RabbitMQ's management API takes as much. */
const SOURCE_MAX = 1024
const DEPTH_MAX = 50
const REPEAT_MAX = 1000

const DIGITS = [0x30, 0x39]
const WORD = [0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a]
const SPACE = [0x09, 0x0d, 0x20, 0x20]
const POSIX: Readonly<Record<string, readonly number[]>> = {
  alnum: [0x30, 0x39, 0x41, 0x5a, 0x61, 0x7a],
  alpha: [0x41, 0x5a, 0x61, 0x7a],
  blank: [0x09, 0x09, 0x20, 0x20],
  cntrl: [0x00, 0x1f, 0x7f, 0x7f],
  digit: DIGITS,
  graph: [0x21, 0x7e],
  lower: [0x61, 0x7a],
  print: [0x20, 0x7e],
  punct: [0x21, 0x2f, 0x3a, 0x40, 0x5b, 0x60, 0x7b, 0x7e],
  space: SPACE,
  upper: [0x41, 0x5a],
  word: WORD,
  xdigit: [0x30, 0x39, 0x41, 0x46, 0x61, 0x66],
}
const CONTROL: Readonly<Record<string, number>> = { a: 0x07, e: 0x1b, f: 0x0c, n: 0x0a, r: 0x0d, t: 0x09 }
const ASSERTIONS: Readonly<Record<string, Assertion>> = {
  A: 'start',
  b: 'word-edge',
  B: 'no-word-edge',
  z: 'end',
  Z: 'last-line-end',
}
const ANY_BUT_NEWLINE: CharacterSet = { ranges: [0x0a, 0x0a], negated: true }

/** Reads a pattern. @throws PatternError */
export function parsePattern(source: string): { readonly tree: Node; readonly ignoreCase: boolean } {
  if (source.length > SOURCE_MAX) throw new PatternError(`it is longer than ${SOURCE_MAX} characters`)
  const ignoreCase = source.startsWith('(?i)')
  return { tree: new Parser(source, ignoreCase ? 4 : 0).whole(), ignoreCase }
}

class Parser {
  readonly #source: string
  #at: number
  #depth = 0

  constructor(source: string, at: number) {
    this.#source = source
    this.#at = at
  }

  whole(): Node {
    const tree = this.#choice()
    if (this.#at < this.#source.length) throw this.#error('a ) has no (')
    return tree
  }

  #choice(): Node {
    if (++this.#depth > DEPTH_MAX) throw this.#error('groups are nested too deeply')
    const branches = [this.#sequence()]
    while (this.#take('|')) branches.push(this.#sequence())
    this.#depth--
    return branches.length === 1 ? branches[0]! : { kind: 'choice', branches }
  }

  #sequence(): Node {
    const items: Node[] = []
    while (this.#at < this.#source.length && !this.#ahead('|') && !this.#ahead(')')) items.push(this.#repeated())
    return items.length === 1 ? items[0]! : { kind: 'sequence', items }
  }

  #repeated(): Node {
    const item = this.#atom()
    const bounds = this.#quantifier()
    if (!bounds) return item
    // A lazy quantifier finds another match, but none where there was none.
    if (!this.#take('?') && this.#ahead('+')) throw this.#error('possessive quantifiers are not supported')
    if (this.#quantifier()) throw this.#error('a quantifier has nothing to repeat')
    return { kind: 'repeat', item, least: bounds[0], most: bounds[1] }
  }

  #quantifier(): readonly [least: number, most: number] | null {
    if (this.#take('*')) return [0, Infinity]
    if (this.#take('+')) return [1, Infinity]
    if (this.#take('?')) return [0, 1]
    // PCRE: a brace that is no quantifier stands for itself.
    const counted = this.#match(/\{(\d+)(,?)(\d*)\}/y)
    if (!counted) return null
    const least = Number(counted[1])
    const most = counted[2] === '' ? least : counted[3] === '' ? Infinity : Number(counted[3])
    if (most < least) throw this.#error('the numbers of a quantifier are out of order')
    if (least > REPEAT_MAX || (most > REPEAT_MAX && most !== Infinity)) {
      throw this.#error(`a quantifier asks for more than ${REPEAT_MAX}`)
    }
    return [least, most]
  }

  #atom(): Node {
    const character = this.#source[this.#at]!
    switch (character) {
      case '(':
        return this.#group()
      case '[':
        return { kind: 'set', set: this.#class() }
      case '\\':
        return this.#escape()
      case '*':
      case '+':
      case '?':
        throw this.#error('a quantifier has nothing to repeat')
    }
    this.#at++
    if (character === '.') return { kind: 'set', set: ANY_BUT_NEWLINE }
    if (character === '^') return { kind: 'assert', assertion: 'start' }
    if (character === '$') return { kind: 'assert', assertion: 'last-line-end' }
    return literal(character.charCodeAt(0))
  }

  #group(): Node {
    const open = this.#match(/\((\?(?:[:=!]|P?<(?![=!])\w+>|'\w+'))?/y)?.[0] ?? ''
    if (open === '(' && this.#ahead('?'))
      throw this.#error(unsupportedGroup(this.#source.slice(this.#at, this.#at + 3)))
    if (open === '(' && this.#ahead('*')) throw this.#error('verbs are not supported')
    const item = this.#choice()
    if (!this.#take(')')) throw this.#error('a ( has no )')
    return open === '(?=' || open === '(?!' ? { kind: 'look', item, negative: open === '(?!' } : item
  }

  #escape(): Node {
    const assertion = ASSERTIONS[this.#source[this.#at + 1] ?? '']
    if (assertion) {
      this.#at += 2
      return { kind: 'assert', assertion }
    }
    const escaped = this.#escaped()
    return typeof escaped === 'number' ? literal(escaped) : { kind: 'set', set: escaped }
  }

  /** Reads an escape that stands for one character, or for one out of a set. */
  #escaped(): number | CharacterSet {
    const hexadecimal = this.#match(/\\x(?:\{([\da-fA-F]{1,4})\}|([\da-fA-F]{0,2}))/y)
    if (hexadecimal) return parseInt(`0${hexadecimal[1] ?? hexadecimal[2]}`, 16)
    const letter = this.#source[this.#at + 1]
    if (letter === undefined) throw this.#error('it ends in a backslash')
    if (/[1-9]/.test(letter)) throw this.#error('back references are not supported')
    const control = CONTROL[letter]
    const shorthand = shorthandSet(letter)
    if (control === undefined && !shorthand && /\w/.test(letter)) throw this.#error(`\\${letter} is not supported`)
    this.#at += 2
    return shorthand ?? control ?? letter.charCodeAt(0)
  }

  /** Reads a class, from its opening to its closing bracket. */
  #class(): CharacterSet {
    const negated = this.#match(/\[\^?/y)?.[0] === '[^'
    const ranges: number[] = []
    // A bracket that closes nothing yet stands for itself.
    for (let first = true; first || !this.#take(']'); first = false) {
      if (this.#at >= this.#source.length) throw this.#error('a [ has no ]')
      const from = this.#classItem()
      if (typeof from !== 'number') {
        ranges.push(...plainRanges(from))
        continue
      }
      const to = this.#match(/-(?!\])/y) ? this.#classItem() : from
      if (typeof to !== 'number' || to < from) throw this.#error('a range of characters is out of order')
      ranges.push(from, to)
    }
    return { ranges, negated }
  }

  #classItem(): number | CharacterSet {
    const posix = this.#match(/\[:(\^?)(\w*):\]/y)
    if (posix) {
      const ranges = POSIX[posix[2]!]
      if (!ranges) throw this.#error(`there is no class [:${posix[2]}:]`)
      return { ranges, negated: posix[1] === '^' }
    }
    if (this.#at >= this.#source.length) throw this.#error('a [ has no ]')
    if (!this.#ahead('\\')) return this.#source.charCodeAt(this.#at++)
    if (this.#match(/\\b/y)) return 0x08
    return this.#escaped()
  }

  #ahead(character: string): boolean {
    return this.#source[this.#at] === character
  }

  #take(character: string): boolean {
    if (!this.#ahead(character)) return false
    this.#at++
    return true
  }

  /** Takes what a sticky expression matches here. Those above are simple, and the source is short. */
  #match(expression: RegExp): RegExpExecArray | null {
    expression.lastIndex = this.#at
    const match = expression.exec(this.#source)
    if (match) this.#at += match[0].length
    return match
  }

  #error(sentence: string): PatternError {
    return new PatternError(`${sentence} (at character ${this.#at + 1})`)
  }
}

function literal(code: number): Node {
  return { kind: 'set', set: { ranges: [code, code], negated: false } }
}

function shorthandSet(letter: string): CharacterSet | null {
  const lower = letter.toLowerCase()
  const ranges = lower === 'd' ? DIGITS : lower === 'w' ? WORD : lower === 's' ? SPACE : null
  return ranges && { ranges, negated: letter !== lower }
}

/** The ranges of a set, with a negated one turned inside out. Its ranges are in order and do not touch. */
function plainRanges(set: CharacterSet): readonly number[] {
  if (!set.negated) return set.ranges
  const gaps: number[] = []
  let from = 0
  for (let i = 0; i < set.ranges.length; i += 2) {
    if (from < set.ranges[i]!) gaps.push(from, set.ranges[i]! - 1)
    from = set.ranges[i + 1]! + 1
  }
  gaps.push(from, 0xffff)
  return gaps
}

function unsupportedGroup(opening: string): string {
  if (opening.startsWith('?<')) return 'looking behind is not supported'
  if (opening.startsWith('?>')) return 'atomic groups are not supported'
  if (opening.startsWith('?i)')) return '(?i) may only stand at the start'
  return `a group that opens with (${opening.slice(0, 2)} is not supported`
}
