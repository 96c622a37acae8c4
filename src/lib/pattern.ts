// Regular expressions from strangers: matched in bounded time, whatever they and the text are.
import { parsePattern } from './pattern/parse.ts'
import { Program, type PatternSteps } from './pattern/program.ts'

const UNBOUNDED: PatternSteps = { once: Infinity, all: Infinity }
/** For what a query asks of many names: one holds nobody up for longer than a slice or two, all together take a second. */
export const QUERY_STEPS: PatternSteps = { once: 1e6, all: 1e8 }

/**
 * A regular expression that is looked for anywhere in a text, as PCRE would without options.
 *
 * JavaScript's own engine backtracks and can be made to run for ever, and cannot be interrupted. This one understands
 * what needs no backtracking: literals, `.`, classes, groups, choice, quantifiers (greedy or lazy), anchors, word
 * edges, look-ahead both ways, and `(?i)` at the start. It refuses the rest (back references, look-behind, atomic
 * groups, possessive quantifiers) by name. Its unit is UTF-16's.
 */
export class Pattern {
  readonly source: string
  readonly #program: Program | null

  /**
   * With `steps`, it is given up when it takes more: some ten nanoseconds each.
   * @throws PatternError what cannot be used, and where it stands
   */
  constructor(source: string, steps: PatternSteps = UNBOUNDED) {
    this.source = source
    const { tree, ignoreCase } = parsePattern(source)
    this.#program = source === '.*' ? null : new Program(tree, ignoreCase, steps)
  }

  /**
   * Whether some part of the text matches.
   * @throws PatternError when that takes too many steps
   */
  test(text: string): boolean {
    return this.#program === null || this.#program.found(text)
  }
}
