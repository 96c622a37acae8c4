import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Binding } from '../../../src/core/exchange/binding.ts'
import { Routes } from '../../../src/core/exchange/routes.ts'
import { TopicExchange } from '../../../src/core/exchange/topic.ts'
import { TopicTrie } from '../../../src/core/exchange/topic-trie.ts'
import { NO_ARGUMENTS } from '../../../src/core/value.ts'
import { exchangeProperties, queueNamed } from '../../support/core.ts'

const source = new TopicExchange('x', exchangeProperties('topic'))

function binding(pattern: string): Binding {
  return new Binding(source, queueNamed(pattern), pattern, NO_ARGUMENTS)
}

function trieOf(patterns: readonly string[]): TopicTrie {
  const trie = new TopicTrie()
  for (const pattern of patterns) trie.add(binding(pattern))
  return trie
}

function matched(trie: TopicTrie, key: string): string[] {
  const routes = new Routes()
  routes.begin()
  trie.match(key, routes)
  return routes.queues.slice(0, routes.length).map((queue) => queue.name)
}

/** The rules of topic patterns as they are told, without a thought for speed. */
function matchesByTheRules(pattern: readonly string[], words: readonly string[]): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return words.length === 0
  if (first === '#') return words.some((_, i) => matchesByTheRules(rest, words.slice(i))) || matchesByTheRules(rest, [])
  const fits = words.length > 0 && (first === '*' || first === words[0])
  return fits && matchesByTheRules(rest, words.slice(1))
}

function wordsOf(text: string): string[] {
  return text === '' ? [] : text.split('.')
}

describe('a topic pattern', () => {
  const cases: readonly (readonly [pattern: string, matching: readonly string[], others: readonly string[]])[] = [
    ['a.b', ['a.b'], ['a', 'a.b.c', 'b.a', 'A.b', '', 'a.b.', '.a.b', 'ab']],
    ['', [''], ['a', '.']],
    ['a..b', ['a..b'], ['a.b', 'a...b', 'a.x.b']],
    ['.a', ['.a'], ['a', 'x.a', '..a']],
    ['a.', ['a.'], ['a', 'a.x', 'a..']],
    ['.', ['.'], ['', 'a', '..']],
    ['*', ['a', 'abc'], ['', 'a.b', '.']],
    ['a.*.b', ['a.x.b', 'a..b'], ['a.b', 'a.x.y.b']],
    ['*.*', ['a.b', '.', 'a.', '.b'], ['', 'a', 'a.b.c']],
    ['*.a', ['x.a', '.a'], ['a', 'x.y.a']],
    ['#', ['', 'a', '.', 'a.b.c'], []],
    ['a.#', ['a', 'a.', 'a.b', 'a.b.c'], ['', 'b', 'ab', 'b.a']],
    ['#.a', ['a', 'x.a', '.a', 'x.y.a', 'a.a'], ['', 'a.x', 'xa']],
    ['a.#.b', ['a.b', 'a..b', 'a.x.y.b', 'a.b.b'], ['a', 'b', 'a.b.c', 'ab']],
    ['#.*', ['a', 'a.b', '.'], ['']],
    ['*.#', ['a', 'a.b', '.'], ['']],
    ['#.#', ['', 'a', 'a.b'], []],
    ['#.*.#.*', ['a.b', 'a.b.c', '.'], ['', 'a']],
    ['#.a.#', ['a', 'x.a', 'a.x', 'x.a.y'], ['', 'x', 'x.y']],
    ['#.a.#.b.#', ['a.b', 'x.a.y.b.z', 'a.a.b', 'b.a.b'], ['b.a', 'a', 'b']],
    ['a.*.#.b', ['a.x.b', 'a.x.y.b', 'a.b.b'], ['a.b', 'a.x.c']],
    ['a.b.*.c', ['a.b.x.c', 'a.b..c', 'a.b.*.c'], ['a.b.c', 'a.b.x.c.d', 'a.b.x']],
    ['a.b.c.#', ['a.b.c', 'a.b.c.d.e'], ['a.b', 'a.b.cc', 'a.b.d']],
    ['a*', ['a*'], ['a', 'ab', 'a.b']],
    ['a.b#', ['a.b#'], ['a.b', 'a.b.c', 'a.bc']],
    ['x.*', ['x.*', 'x.#'], ['x', 'x.a.b']],
    ['*.é.€', ['x.é.€'], ['x.e.€', 'x.é']],
  ]
  test.each(cases)('%j matches %j and not %j', (pattern, matching, others) => {
    const alone = trieOf([pattern])
    // The neighbours make nodes of what would be a tail.
    const crowded = trieOf(['a.b.x.y', 'a.*.z', 'a.#.z', pattern, '*.z', '#.z', 'x.z', '.z', 'a..z', 'a.b.z'])
    for (const key of matching) {
      expect(matched(alone, key), key).toEqual([pattern])
      expect(matched(crowded, key), key).toContain(pattern)
    }
    for (const key of others) {
      expect(matched(alone, key), key).toEqual([])
      expect(matched(crowded, key), key).not.toContain(pattern)
    }
  })
})

describe('a topic trie', () => {
  const word = fc.constantFrom('a', 'b', '', '*', '#', 'long-word')
  const pattern = fc.array(word, { maxLength: 6 }).map((words) => words.join('.'))
  const key = fc
    .array(fc.constantFrom('a', 'b', '', '*', 'long-word'), { maxLength: 7 })
    .map((words) => words.join('.'))

  test('matches what the rules say, whatever was added and removed before', () => {
    fc.assert(
      fc.property(fc.uniqueArray(pattern), fc.array(fc.nat()), fc.array(key), (patterns, removals, keys) => {
        const bindings = patterns.map(binding)
        const trie = new TopicTrie()
        for (const one of bindings) trie.add(one)
        for (const removal of removals) {
          if (bindings.length > 0) trie.remove(bindings.splice(removal % bindings.length, 1)[0]!)
        }
        for (const one of keys) {
          const expected = bindings
            .map((left) => left.routingKey)
            .filter((left) => matchesByTheRules(wordsOf(left), wordsOf(one)))
          expect(matched(trie, one).toSorted()).toEqual(expected.toSorted())
        }
        for (const one of bindings) trie.remove(one)
        expect(trie.empty).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  test('gives each destination once, however many of its patterns match', () => {
    const trie = new TopicTrie()
    const queue = queueNamed('q')
    for (const one of ['#', '#.a', 'a', '*', 'a.#', '*.#', '#.a.#']) {
      trie.add(new Binding(source, queue, one, NO_ARGUMENTS))
    }
    expect(matched(trie, 'a')).toEqual(['q'])
  })

  test('keeps the other bindings of a pattern when one goes', () => {
    const trie = new TopicTrie()
    const [first, second, third] = ['q1', 'q2', 'q3'].map((name) => {
      return new Binding(source, queueNamed(name), 'a.b.c', NO_ARGUMENTS)
    })
    for (const one of [first!, second!, third!]) trie.add(one)
    trie.remove(second!)
    expect(matched(trie, 'a.b.c').toSorted()).toEqual(['q1', 'q3'])
    trie.remove(third!)
    trie.remove(first!)
    expect(trie.empty).toBe(true)
  })

  test('takes patterns that differ only in how they write a run of wildcards for the same', () => {
    const trie = new TopicTrie()
    const [first, second] = [binding('a.#.*.#.b'), binding('a.*.#.b')]
    trie.add(first)
    trie.add(second)
    expect(matched(trie, 'a.x.b')).toHaveLength(2)
    trie.remove(first)
    expect(matched(trie, 'a.x.y.b')).toEqual(['a.*.#.b'])
  })

  test('is not slowed down without bound by patterns of many wildcards', () => {
    // By trying all ways to share the words out, one of these would outlive us.
    const hashes = Array.from({ length: 60 }, () => '#.a').join('.')
    const trie = trieOf([
      `${hashes}.b`,
      `${hashes}.#`,
      `${hashes}.*.c`,
      Array.from({ length: 120 }, () => '#').join('.'),
    ])
    const longest = Array.from({ length: 128 }, () => 'a').join('.')
    expect(matched(trie, longest)).toHaveLength(2)
    expect(matched(trie, `${longest}.b`)).toHaveLength(3)
  })
})
