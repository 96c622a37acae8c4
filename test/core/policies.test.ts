import { describe, expect, it } from 'vitest'
import type { Definition, PolicyDefinition } from '../../src/core/definitions.ts'
import { Policies, type PolicySubject } from '../../src/core/policies.ts'
import type { PolicyValues } from '../../src/core/policy-values.ts'
import { NO_ARGUMENTS, type FieldTable } from '../../src/core/value.ts'
import { longstr, signedint, table } from '../support/core.ts'

function policies(): { policies: Policies; kept: Definition[]; changed: string[] } {
  const kept: Definition[] = []
  const changed: string[] = []
  const store = {
    save: (definition: Definition) => void kept.push(definition),
    remove: (definition: Definition) => void kept.splice(kept.indexOf(definition), 1),
  }
  return { policies: new Policies(store, (vhost) => changed.push(vhost)), kept, changed }
}

function policyOf(definition: PolicyValues, rest: Partial<PolicyDefinition> = {}): PolicyDefinition {
  const base = { vhost: '/', name: 'p', operator: false, pattern: '', applyTo: 'all', priority: 0 } as const
  return { kind: 'policy', ...base, definition, ...rest }
}

function queue(args: FieldTable = NO_ARGUMENTS): PolicySubject {
  return { kind: 'queue', name: 'jobs', arguments: args }
}

const QUORUM = table({ 'x-queue-type': longstr('quorum') })

describe('a policy', () => {
  it.each<[Partial<PolicyDefinition>, PolicySubject, boolean]>([
    [{ pattern: 'ob' }, queue(), true],
    [{ pattern: '^ob' }, queue(), false],
    [{ applyTo: 'exchanges' }, queue(), false],
    [{ applyTo: 'queues' }, queue(), true],
    [{ applyTo: 'classic_queues' }, queue(), true],
    [{ applyTo: 'quorum_queues' }, queue(), false],
    [{ applyTo: 'quorum_queues' }, queue(QUORUM), true],
    [{ applyTo: 'streams' }, queue(), false],
    [{ applyTo: 'queues' }, { ...queue(), kind: 'exchange' }, false],
    [{ applyTo: 'exchanges' }, { ...queue(), kind: 'exchange' }, true],
    [{ vhost: 'other' }, queue(), false],
  ])('with %j is for %j: %j', (rest, subject, applies) => {
    const { policies: all } = policies()
    all.put(policyOf({ 'message-ttl': 1 }, rest))
    expect(all.effective('/', subject).policy).toBe(applies ? 'p' : null)
  })

  it('is not for a queue whose type cannot honour one of its keys', () => {
    const { policies: all } = policies()
    all.put(policyOf({ 'message-ttl': 1, 'max-age': '1D' }))
    expect(all.effective('/', queue())).toMatchObject({ policy: null, definition: {} })
  })

  it('is kept, and tells its vhost', () => {
    const { policies: all, kept, changed } = policies()
    const policy = policyOf({ 'message-ttl': 1 })
    all.put(policy)
    expect(kept).toEqual([policy])
    expect(all.get('/', 'p', false)).toBe(policy)
    expect(all.delete('/', 'p', false)).toBe(true)
    expect(all.delete('/', 'p', false)).toBe(false)
    expect([kept, changed]).toEqual([[], ['/', '/']])
  })

  it.each<[PolicyValues, string]>([
    [{}, 'no policy provided'],
    [{ odd: 1, 'message-ttl': 1 }, '[{<<"odd">>,1}] are not recognised policy settings'],
    [{ 'message-ttl': -1 }, '-1 is not a valid message TTL'],
    [{ 'message-ttl': 'soon' }, '<<"soon">> is not a valid message TTL'],
    [{ expires: 0 }, '0 is not a valid queue expiry'],
    [{ 'max-length': -1 }, '-1 is not a valid maximum length'],
    [{ 'max-length-bytes': 1.5 }, '1.5 is not a valid maximum length in bytes'],
    [{ 'dead-letter-exchange': 7 }, '7 is not a valid dead letter exchange name'],
    [{ 'dead-letter-routing-key': true }, 'true is not a valid dead letter routing key'],
    [{ 'alternate-exchange': 7 }, '7 is not a valid alternate exchange name'],
    [{ overflow: 'flood' }, '<<"flood">> is not a valid overflow value'],
    [{ 'queue-mode': 'eager' }, '<<"eager">> is not a valid queue-mode value'],
    [{ 'queue-version': 3 }, '3 is not a valid queue-version value'],
    [{ 'message-ttl': 1.5e12 + 0.5 }, '1500000000000.5 is not a valid message TTL'],
    [{ 'max-age': ['1h'] }, '[<<"1h">>] is not a valid max age'],
    [{ overflow: 'é"\n' }, String.raw`<<"é\"\n">> is not a valid overflow value`],
    [{ overflow: 'Ā' }, '<<196,128>> is not a valid overflow value'],
  ])('with %j is refused', (definition, text) => {
    const { policies: all, kept } = policies()
    expect(() => all.put(policyOf(definition))).toThrow(text)
    expect(kept).toEqual([])
  })

  it('is refused with a key that is not for operators, if it is theirs', () => {
    const { policies: all } = policies()
    const policy = policyOf({ 'dead-letter-exchange': 'x' }, { operator: true })
    expect(() => all.put(policy)).toThrow('[{<<"dead-letter-exchange">>,<<"x">>}] are not recognised policy settings')
  })

  it('is refused with a pattern that is none', () => {
    const { policies: all, kept } = policies()
    expect(() => all.put(policyOf({ 'message-ttl': 1 }, { pattern: '(' }))).toThrow(
      'pattern should be a regular expression',
    )
    expect(kept).toEqual([])
  })
})

describe('the value that holds', () => {
  it.each<[key: string, user: number | string, operator: number | string, held: number | string]>([
    ['message-ttl', 5, 9, 5],
    ['message-ttl', 9, 5, 5],
    ['max-length', 9, 5, 5],
    ['delivery-limit', 3, 7, 3],
    ['delivery-limit', -1, 7, 7],
    ['delivery-limit', 3, -1, 3],
    ['overflow', 'reject-publish', 'drop-head', 'drop-head'],
  ])('of %s is, of a policy with %j and an operator policy with %j, %j', (key, user, operator, held) => {
    const { policies: all } = policies()
    all.put(policyOf({ [key]: user }))
    all.put(policyOf({ [key]: operator }, { operator: true, name: 'o' }))
    expect(all.effective('/', queue())).toMatchObject({ policy: 'p', operatorPolicy: 'o', definition: { [key]: held } })
  })

  it.each([
    ['message-ttl', signedint(5), 9, NO_ARGUMENTS, 'argument'],
    ['message-ttl', signedint(9), 5, NO_ARGUMENTS, 'policy'],
    ['dead-letter-exchange', longstr('own'), 'ruled', NO_ARGUMENTS, 'argument'],
    ['overflow', longstr('drop-head'), 'reject-publish', NO_ARGUMENTS, 'argument'],
    ['overflow', longstr('drop-head'), 'reject-publish', QUORUM, 'policy'],
    ['delivery-limit', signedint(-1), 5, QUORUM, 'policy'],
    ['delivery-limit', signedint(3), 5, QUORUM, 'argument'],
  ] as const)(
    'of %s is, of an argument %j and a policy with %j, of arguments %j, the %s',
    (key, own, ruled, args, source) => {
      const { policies: all } = policies()
      all.put(policyOf({ [key]: ruled }))
      const { values } = all.effective('/', queue(new Map([...args, [`x-${key}`, own]])))
      const value = source === 'argument' ? own : { value: typeof ruled === 'number' ? BigInt(ruled) : ruled }
      expect(values.get(key)).toMatchObject({ source, value })
    },
  )
})
