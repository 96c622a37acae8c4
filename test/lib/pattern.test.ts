// Bounded regular expressions, against JavaScript's where both understand the notation.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Pattern } from '../../src/lib/pattern.ts'
import { PatternError } from '../../src/lib/pattern/parse.ts'

const matches: [pattern: string, found: string[], missed: string[]][] = [
  ['.*', ['', 'anything', 'a\nb'], []],
  ['', ['', 'anything'], []],
  ['^$', [''], ['a']],
  ['foo', ['foo', 'xfoox'], ['fo', 'FOO']],
  ['^prefix-.*', ['prefix-', 'prefix-a'], ['xprefix-a', 'prefix']],
  ['^(a|b).*', ['a', 'bz'], ['', 'ca']],
  ['^(foo|bar|amq\\.gen.*)$', ['foo', 'bar', 'amq.gen-x'], ['fool', 'amqxgen']],
  ['^(?!amq\\.).*', ['orders', 'xamq.gen', ''], ['amq.gen', 'amq.']],
  ['^(?!amq\\.)(?!.*secret).+$', ['orders'], ['amq.x', 'my-secret', '']],
  ['^(?=.*a)(?=.*b)', ['ab', 'xbxa'], ['a', 'b']],
  ['(?!(?!a))b?a', ['a', 'xa'], ['b']],
  ['^a{2,3}$', ['aa', 'aaa'], ['a', 'aaaa']],
  ['^a{2}$', ['aa'], ['a', 'aaa']],
  ['^a{2,}$', ['aa', 'aaaaa'], ['a']],
  ['^a{,2}$', ['a{,2}'], ['a']],
  ['^{x}$', ['{x}'], ['x']],
  ['^[a-c\\-.]+$', ['a-b.c'], ['d']],
  ['^[]a]$', [']', 'a'], ['b']],
  ['^[^]a]$', ['b'], [']', 'a']],
  ['^[a-]$', ['a', '-'], ['b']],
  ['^[[:alpha:]_]+[[:digit:]]$', ['a_b1'], ['1a', 'ab']],
  ['^[[:^digit:]]$', ['a'], ['1']],
  ['^[\\D5]+$', ['a5b'], ['a6']],
  ['\\bab\\b', ['ab', 'x ab.'], ['xab', 'abx']],
  ['a\\Bb', ['ab'], ['a b']],
  ['^\\d+\\.\\w\\s$', ['12.a '], ['12xa ']],
  ['^\\x41\\x{e9}$', ['Aé'], ['Ae']],
  ['a$', ['a', 'a\n'], ['a\nb']],
  ['a\\Z', ['a\n'], ['ab']],
  ['a\\z', ['a'], ['a\n']],
  ['\\Aa', ['ab'], ['ba']],
  ['^.$', ['a'], ['\n', 'ab']],
  ['(?i)^Ab[c-e]$', ['aBD', 'ABc'], ['abf']],
  ['(?i)^[^a]$', ['b'], ['a', 'A']],
  ['^(?:a|b)+?c$', ['abac'], ['c']],
  ['^(?<name>a)(?P<other>b)$', ['ab'], ['a']],
  ['a|', ['', 'b'], []],
  ['^(a*)*$', ['', 'aaa'], ['b']],
  ['^((a*)*b?)+$', ['', 'aab', 'bab'], ['c']],
  ['^()*$', [''], ['a']],
]

describe('Pattern', () => {
  for (const [pattern, found, missed] of matches) {
    it(`finds /${pattern}/ where PCRE does`, () => {
      const compiled = new Pattern(pattern)
      expect(found.filter((text) => !compiled.test(text))).toEqual([])
      expect(missed.filter((text) => compiled.test(text))).toEqual([])
    })
  }

  const refusals: [pattern: string, sentence: string][] = [
    ['*', 'a quantifier has nothing to repeat (at character 1)'],
    ['a|+', 'a quantifier has nothing to repeat (at character 3)'],
    ['a**', 'a quantifier has nothing to repeat (at character 4)'],
    ['a++', 'possessive quantifiers are not supported (at character 3)'],
    ['(a', 'a ( has no ) (at character 3)'],
    ['a)', 'a ) has no ( (at character 2)'],
    ['[a', 'a [ has no ] (at character 3)'],
    ['[a-', 'a [ has no ] (at character 4)'],
    ['[b-a]', 'a range of characters is out of order (at character 5)'],
    ['[[:colour:]]', 'there is no class [:colour:] (at character 12)'],
    ['a{3,2}', 'the numbers of a quantifier are out of order (at character 7)'],
    ['a{2000}', 'a quantifier asks for more than 1000 (at character 8)'],
    ['(a)\\1', 'back references are not supported (at character 4)'],
    ['(?<=a)b', 'looking behind is not supported (at character 2)'],
    ['(?<!a)b', 'looking behind is not supported (at character 2)'],
    ['(?>a)', 'atomic groups are not supported (at character 2)'],
    ['a(?i)b', '(?i) may only stand at the start (at character 3)'],
    ['(?R)', 'a group that opens with (?R is not supported (at character 2)'],
    ['(*FAIL)', 'verbs are not supported (at character 2)'],
    ['\\K', '\\K is not supported (at character 1)'],
    ['a\\', 'it ends in a backslash (at character 2)'],
    ['('.repeat(60) + ')'.repeat(60), 'groups are nested too deeply (at character 51)'],
    ['((a{100}){100}){100}', 'it repeats too much'],
    ['a'.repeat(1025), 'it is longer than 1024 characters'],
  ]
  for (const [pattern, sentence] of refusals) {
    it(`refuses /${pattern.slice(0, 20)}/: ${sentence}`, () => {
      expect(() => new Pattern(pattern)).toThrow(new PatternError(sentence))
    })
  }

  it('takes no longer for a pattern that makes a backtracking engine explode', () => {
    const text = 'a'.repeat(255)
    for (const pattern of ['^(a+)+$', '^(a|a)*$', '^(a|aa)+$', '^(.*)*.*.*.*$', '(x+x+)+y']) {
      expect(new Pattern(pattern).test(`${text}!`)).toBe(pattern.includes('.'))
    }
  })

  it('gives up when one text, or all of them, take more steps than they may', () => {
    const text = 'a'.repeat(255)
    const slow = (steps: { readonly once: number; readonly all: number }) => new Pattern('^(a|aa)+$', steps)
    expect(() => slow({ once: 100, all: Infinity }).test(`${text}!`)).toThrow('it takes too many steps')
    const pattern = slow({ once: 100_000, all: 100_000 })
    expect(pattern.test(text)).toBe(true)
    expect(() => Array.from({ length: 100 }, () => pattern.test(text))).toThrow('it takes too many steps')
    expect(slow({ once: 100, all: 100 }).test('aa')).toBe(true)
  })

  it('agrees with the engine of JavaScript on patterns made at random', () => {
    const atom = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', '\\w', '\\b', '^', '$', '')
    const pattern = fc.letrec<{ tree: string }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        atom,
        fc.tuple(tie('tree'), tie('tree')).map(([left, right]) => left + right),
        fc.tuple(tie('tree'), tie('tree')).map(([left, right]) => `(?:${left}|${right})`),
        fc
          .tuple(tie('tree'), fc.constantFrom('*', '+', '?', '*?', '{2}', '{1,2}'))
          .map(([item, q]) => `(?:${item})${q}`),
        fc.tuple(fc.constantFrom('=', '!'), tie('tree')).map(([sign, item]) => `(?${sign}${item})`),
      ),
    })).tree
    fc.assert(
      fc.property(pattern, fc.string({ unit: fc.constantFrom('a', 'b', '-'), maxLength: 8 }), (source, text) => {
        expect(new Pattern(source).test(text)).toBe(new RegExp(source).test(text))
      }),
      { numRuns: 3000 },
    )
  })
})
