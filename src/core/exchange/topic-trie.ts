// Topic patterns as a trie of words: `*` stands for one word, `#` for any number of them, none included.
import { link, unlink, type Binding, type BindingChain } from './binding.ts'

const STAR = 0x2a
const HASH = 0x23

/** Takes the bindings that match, a chain at a time. */
export interface BindingSink {
  addBindings(first: Binding | null): void
}

/**
 * One word of some patterns. Where only one pattern goes on, its further words are the node's tail and not nodes of their
 * own: most bindings of a large exchange are one node then, and a match touches little memory.
 */
class TrieNode implements BindingChain {
  readonly parent: TrieNode | null
  readonly word: string
  literals: Map<string, TrieNode> | null = null
  star: TrieNode | null = null
  hash: TrieNode | null = null
  /** The further words of the only pattern that comes this way. A `#` is the last of them or none. */
  tail: string | null = null
  /** Whether wildcards are among them. */
  wildTail = false
  /** The bindings whose pattern ends here, or with the tail. */
  first: Binding | null = null
  /** For a `#`: the last match that reached it. */
  mark = 0

  constructor(parent: TrieNode | null, word: string) {
    this.parent = parent
    this.word = word
  }

  get empty(): boolean {
    return this.first === null && this.literals === null && this.star === null && this.hash === null
  }

  child(word: string): TrieNode | undefined {
    if (word === '*') return this.star ?? undefined
    if (word === '#') return this.hash ?? undefined
    return this.literals?.get(word)
  }

  addChild(word: string): TrieNode {
    const added = new TrieNode(this, word)
    if (word === '*') this.star = added
    else if (word === '#') this.hash = added
    else {
      this.literals ??= new Map()
      this.literals.set(word, added)
    }
    return added
  }

  removeChild(word: string): void {
    if (word === '*') this.star = null
    else if (word === '#') this.hash = null
    else if (this.literals!.size > 1) this.literals!.delete(word)
    else this.literals = null
  }

  setTail(words: readonly string[]): void {
    this.tail = words.length > 0 ? words.join('.') : null
    this.wildTail = words.includes('*') || words.includes('#')
  }

  /** Makes the first word of the tail a node, for another pattern comes this way. */
  expand(): void {
    const [word, ...rest] = this.tail!.split('.')
    const child = this.addChild(word!)
    child.setTail(rest)
    child.first = this.first
    this.setTail([])
    this.first = null
  }
}

/**
 * The bindings of a topic exchange. A match follows all patterns at once, word by word: it keeps the set of nodes that
 * the words so far lead to. A `#` once reached stays reached, so each node is looked at no more than once a word, and
 * there is nothing to go back to: the cost is bounded by words times nodes whatever the patterns are.
 */
export class TopicTrie {
  readonly #root = new TrieNode(null, '')
  // All of these belong to the match that is running, and are kept for the next one.
  /** The nodes that the words so far lead to. */
  #active: TrieNode[] = []
  #activeCount = 0
  /** The array that the next word fills. */
  #spare: TrieNode[] = []
  /** The `#` nodes that were reached and have words behind them. */
  readonly #open: TrieNode[] = []
  #openCount = 0
  #generation = 0

  add(binding: Binding): void {
    const words = patternWords(binding.routingKey)
    let node = this.#root
    let index = 0
    while (!endsAt(node, words, index)) {
      if (node.tail !== null) node.expand()
      if (index === words.length) break
      const word = words[index++]!
      const child = node.child(word)
      node = child ?? node.addChild(word)
      if (child === undefined && word !== '#' && tailLike(words, index)) node.setTail(words.slice(index))
    }
    link(node, binding)
  }

  /** Removes a binding that was added, and the nodes that served no other. */
  remove(binding: Binding): void {
    const words = patternWords(binding.routingKey)
    let node = this.#root
    for (let index = 0; index < words.length && node.tail === null; index++) node = node.child(words[index]!)!
    unlink(node, binding)
    while (node.parent !== null && node.empty) {
      node.parent.removeChild(node.word)
      node = node.parent
    }
  }

  /** Whether no binding is left, and with it no node. */
  get empty(): boolean {
    return this.#root.empty
  }

  /** Adds the destinations of all bindings whose pattern matches a routing key. */
  match(key: string, routes: BindingSink): void {
    this.#generation++
    this.#openCount = 0
    this.#active[0] = this.#root
    this.#activeCount = 1
    if (this.#root.hash !== null) this.#reachHash(this.#root.hash, routes)
    // An empty key has no words; any other has one more than it has dots.
    let start = key.length === 0 ? 1 : 0
    while (start <= key.length) {
      const end = wordEnd(key, start)
      this.#step(key, start, end, routes)
      if (this.#activeCount === 0 && this.#openCount === 0) return
      start = end + 1
    }
    for (let i = 0; i < this.#activeCount; i++) routes.addBindings(this.#active[i]!.first)
  }

  /** Follows the word from `start` to `end` from the active nodes and the open `#` nodes to those that it leads to. */
  #step(key: string, start: number, end: number, routes: BindingSink): void {
    const word = key.slice(start, end)
    const active = this.#active
    const activeCount = this.#activeCount
    // What is opened on the way stands for the words after this one.
    const openCount = this.#openCount
    this.#active = this.#spare
    this.#activeCount = 0
    for (let i = 0; i < activeCount; i++) {
      const node = active[i]!
      if (node.literals !== null) {
        const literal = node.literals.get(word)
        if (literal !== undefined) this.#reach(literal, key, end, routes)
      }
      if (node.star !== null) this.#reach(node.star, key, end, routes)
    }
    for (let i = 0; i < openCount; i++) {
      const literal = this.#open[i]!.literals!.get(word)
      if (literal !== undefined) this.#reach(literal, key, end, routes)
    }
    this.#spare = active
  }

  /** The words of the key before `end` lead to a node. */
  #reach(node: TrieNode, key: string, end: number, routes: BindingSink): void {
    if (node.tail !== null) {
      if (tailMatches(node.tail, node.wildTail, key, end)) routes.addBindings(node.first)
      return
    }
    this.#active[this.#activeCount++] = node
    if (node.hash !== null) this.#reachHash(node.hash, routes)
  }

  /** A pattern that ends in this `#` matches whatever follows. */
  #reachHash(hash: TrieNode, routes: BindingSink): void {
    if (hash.mark === this.#generation) return
    hash.mark = this.#generation
    routes.addBindings(hash.first)
    if (hash.literals !== null) this.#open[this.#openCount++] = hash
  }
}

/**
 * The words of a pattern, with each run of wildcards in one order: a run that has a `#` in it says "at least as many
 * words as it has `*`", so the `*` come first and one `#` does for all. Then nothing but words follows a `#`.
 */
function patternWords(pattern: string): string[] {
  const words: string[] = []
  if (pattern.length === 0) return words
  let hash = false
  for (const word of pattern.split('.')) {
    if (word === '#') {
      hash = true
      continue
    }
    if (hash && word !== '*') {
      words.push('#')
      hash = false
    }
    words.push(word)
  }
  if (hash) words.push('#')
  return words
}

/** Whether the bindings of a node are those of a pattern of which `words` from `index` on are left. */
function endsAt(node: TrieNode, words: readonly string[], index: number): boolean {
  if (node.tail === null) return index === words.length
  return index < words.length && node.tail === words.slice(index).join('.')
}

/** Whether the words from `index` on can be a tail: there are some, and matching them never has to go back. */
function tailLike(words: readonly string[], index: number): boolean {
  const hash = words.indexOf('#', index)
  return index < words.length && (hash < 0 || hash === words.length - 1)
}

/** Whether a tail matches what a key has after `position`, where a word has ended. Makes no strings. */
function tailMatches(tail: string, wild: boolean, key: string, position: number): boolean {
  if (key.length - position - 1 === tail.length && key.endsWith(tail)) return true
  return wild && wildTailMatches(tail, key, position)
}

function wildTailMatches(tail: string, key: string, position: number): boolean {
  let at = 0
  while (at <= tail.length) {
    const end = wordEnd(tail, at)
    if (end - at === 1 && tail.charCodeAt(at) === HASH) return true
    if (position === key.length) return false
    const start = position + 1
    position = wordEnd(key, start)
    const star = end - at === 1 && tail.charCodeAt(at) === STAR
    if (!star && !sameWord(tail, at, end, key, start, position)) return false
    at = end + 1
  }
  return position === key.length
}

function wordEnd(text: string, start: number): number {
  const dot = text.indexOf('.', start)
  return dot < 0 ? text.length : dot
}

function sameWord(a: string, aStart: number, aEnd: number, b: string, bStart: number, bEnd: number): boolean {
  if (aEnd - aStart !== bEnd - bStart) return false
  for (let i = 0; i < aEnd - aStart; i++) {
    if (a.charCodeAt(aStart + i) !== b.charCodeAt(bStart + i)) return false
  }
  return true
}
