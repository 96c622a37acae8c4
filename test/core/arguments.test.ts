import { describe, expect, test } from 'vitest'
import { queueArguments } from '../../src/core/arguments/queue-arguments.ts'
import {
  assertEquivalent,
  assertExchangeEquivalent,
  assertQueueEquivalent,
  queueTypeOf,
  validateConsumerArguments,
  validateExchangeArguments,
  validateQueueArguments,
  validateQueueProperties,
} from '../../src/core/arguments.ts'
import { NO_ARGUMENTS, type FieldTable, type FieldValue } from '../../src/core/value.ts'
import { exchangeProperties, longstr, signedint, table } from '../support/core.ts'

const long = (value: bigint): FieldValue => ({ type: 'long', value })
const double = (value: number): FieldValue => ({ type: 'double', value })
const bool = (value: boolean): FieldValue => ({ type: 'bool', value })
const bytes = (value: string): FieldValue => ({ type: 'binary', value: Buffer.from(value) })

function refusal(command: () => void): { code: unknown; message: string } | undefined {
  try {
    command()
  } catch (error) {
    const { code, message } = error as { code: unknown; message: string }
    return { code, message }
  }
  return undefined
}

const failed = (message: string) => ({ code: 'precondition-failed', message })

function validated(values: Record<string, FieldValue>) {
  return refusal(() => validateQueueArguments('q', 'v', table(values)))
}

describe('the arguments of a queue', () => {
  const noInteger = (type: string) => `"expected integer, got ${type}"`
  const noTime = [
    [longstr('60'), noInteger('longstr')],
    [bool(true), noInteger('bool')],
    [double(1), noInteger('double')],
    [{ type: 'timestamp', value: 1n }, noInteger('timestamp')],
    [{ type: 'decimal', value: 1, scale: 0 }, noInteger('decimal')],
    [signedint(-1), '{value_negative,-1}'],
    [long(315_360_000_001n), '{value_too_large,315360000001}'],
  ] as const
  const noCount = [
    [longstr('60'), noInteger('longstr')],
    [long(-5n), '{value_negative,-5}'],
  ] as const
  const noString = [
    [signedint(1), '{unacceptable_type,signedint}'],
    [bytes('classic'), '{unacceptable_type,binary}'],
  ] as const
  const cases: Record<string, readonly (readonly [value: FieldValue, term: string])[]> = {
    'x-expires': [...noTime, [signedint(0), '{value_zero,0}']],
    'x-message-ttl': noTime,
    'x-dead-letter-routing-key': [[longstr('k'), 'routing_key_but_no_dlx_defined'], ...noString],
    'x-dead-letter-strategy': [[longstr('never'), 'invalid_dlx_strategy'], ...noString],
    'x-max-length': noCount,
    'x-max-length-bytes': noCount,
    'x-max-in-memory-length': noCount,
    'x-max-in-memory-bytes': noCount,
    'x-max-priority': [...noCount, [signedint(256), '{max_value_exceeded,256}']],
    'x-overflow': [[longstr('block'), 'invalid_overflow'], ...noString],
    'x-queue-version': [...noCount, [signedint(3), `"unsupported queue version '3'"`]],
    'x-single-active-consumer': [[longstr('true'), '{unacceptable_type,longstr}']],
    'x-queue-type': [[longstr('foo'), `"unsupported queue type 'foo'"`], ...noString],
    'x-delivery-limit': [[longstr('5'), noInteger('longstr')]],
    'x-consumer-timeout': noCount,
    'x-consumer-disconnected-timeout': noCount,
    'x-delayed-retry-type': [[longstr('some'), 'invalid_delayed_retry_type'], ...noString],
    'x-delayed-retry-min': noCount,
    'x-delayed-retry-max': noCount,
    'x-quorum-initial-group-size': [...noCount, [signedint(0), '{value_zero,0}']],
    'x-member-placement-tag': [
      [longstr(''), 'invalid_member_placement_tag_arg'],
      [signedint(1), 'invalid_member_placement_tag_arg'],
    ],
    'x-queue-leader-locator': [[longstr('here'), 'invalid_queue_locator_arg'], ...noString],
    'x-message-deduplication': [[signedint(1), '{unacceptable_type,signedint}']],
    'x-deduplication-header': noString,
    'x-cache-size': [
      ...noCount,
      [signedint(0), '{value_zero,0}'],
      [signedint(10_000_001), '{value_too_large,10000001}'],
    ],
    'x-cache-ttl': [...noTime, [signedint(0), '{value_zero,0}']],
  }
  const rows = Object.entries(cases).flatMap(([key, wrong]) => wrong.map(([value, term]) => ({ key, value, term })))

  test.each(rows)('$key: $value.value is refused with $term', ({ key, value, term }) => {
    expect(validated({ [key]: value })).toEqual(failed(`invalid arg '${key}' for queue 'q' in vhost 'v': ${term}`))
  })

  test.each<[string, FieldValue]>([
    ['x-expires', long(315_360_000_000n)],
    ['x-expires', { type: 'byte', value: 1 }],
    ['x-message-ttl', signedint(0)],
    ['x-message-ttl', { type: 'unsignedshort', value: 60_000 }],
    ['x-dead-letter-exchange', longstr('')],
    ['x-dead-letter-strategy', longstr('at-least-once')],
    ['x-max-length', { type: 'unsignedint', value: 0 }],
    ['x-max-length-bytes', long(2n ** 62n)],
    ['x-max-priority', { type: 'unsignedbyte', value: 255 }],
    ['x-overflow', longstr('reject-publish-dlx')],
    ['x-queue-mode', longstr('lazy')],
    ['x-queue-mode', signedint(7)],
    ['x-queue-version', long(2n)],
    ['x-single-active-consumer', bool(false)],
    ['x-delivery-limit', signedint(-1)],
    ['x-delayed-retry-type', longstr('all')],
    ['x-queue-leader-locator', longstr('balanced')],
    ['x-queue-master-locator', longstr('anything')],
    ['x-message-deduplication', bool(true)],
    ['x-ha-policy', signedint(1)],
    ['no-argument-of-ours', { type: 'void', value: null }],
  ])('%s: %o passes on a queue of either type', (key, value) => {
    expect(validated({ [key]: value })).toBeUndefined()
    expect(validated({ [key]: value, 'x-queue-type': longstr('classic') })).toBeUndefined()
    expect(validated({ [key]: value, 'x-queue-type': longstr('quorum') })).toBeUndefined()
  })

  test('may name a dead-letter routing key beside a dead-letter exchange, the default one too', () => {
    const named = { 'x-dead-letter-exchange': longstr(''), 'x-dead-letter-routing-key': longstr('k') }
    expect(validated(named)).toBeUndefined()
  })

  test('are all known to the table of what may be wrong with them', () => {
    const unchecked = ['x-dead-letter-exchange', 'x-queue-mode', 'x-queue-master-locator']
    const ofQueues = queueArguments.filter((argument) => argument.types.includes('classic'))
    expect(ofQueues.map((argument) => argument.key).toSorted()).toEqual(
      [...Object.keys(cases), ...unchecked].toSorted(),
    )
  })

  test('are refused first for a dead-letter exchange that is no string, then for the type, then in their order', () => {
    const wrong = {
      'x-max-age': longstr('1D'),
      'x-max-length': signedint(-1),
      'x-message-ttl': signedint(-1),
      'x-queue-type': longstr('foo'),
      'x-dead-letter-exchange': signedint(5),
    }
    const keys = ['x-dead-letter-exchange', 'x-queue-type', 'x-message-ttl', 'x-max-length', 'x-max-age']
    const left: Record<string, FieldValue> = { ...wrong }
    for (const key of keys) {
      expect(validated(left)?.message).toContain(`arg '${key}'`)
      delete left[key]
    }
    expect(validated(left)).toBeUndefined()
    expect(validated(wrong)).toEqual(
      failed("invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost 'v'"),
    )
  })

  test.each(['x-initial-cluster-size', 'x-max-age', 'x-stream-max-segment-size-bytes', 'x-stream-filter-size-bytes'])(
    '%s is refused on what is no stream',
    (key) => {
      const foreign = (type: string) => failed(`invalid arg '${key}' for queue 'q' in vhost 'v' of queue type ${type}`)
      expect(validated({ [key]: longstr('x') })).toEqual(foreign('rabbit_classic_queue'))
      const quorum = { [key]: signedint(1), 'x-queue-type': longstr('quorum') }
      expect(validated(quorum)).toEqual(foreign('rabbit_quorum_queue'))
    },
  )

  test('cannot ask for a stream', () => {
    expect(validated({ 'x-queue-type': longstr('stream') })).toEqual({
      code: 'not-implemented',
      message: "streams are not supported yet: queue 'q' in vhost 'v'",
    })
  })

  test('tell the type of the queue, which is classic unless they say otherwise', () => {
    expect(queueTypeOf(NO_ARGUMENTS)).toBe('classic')
    expect(queueTypeOf(table({ 'x-queue-type': longstr('quorum') }))).toBe('quorum')
  })
})

describe('the properties of a queue', () => {
  const quorum = table({ 'x-queue-type': longstr('quorum') })
  test.each([
    [true, true, false, 'auto-delete'],
    [true, false, true, 'auto-delete'],
    [false, true, false, 'exclusive-owner'],
    [false, false, false, 'non-durable'],
    [false, false, true, null],
  ])(
    'auto-delete %j, exclusive %j, durable %j: quorum queues refuse %s',
    (autoDelete, exclusive, durable, property) => {
      const check = (args: FieldTable) => {
        return refusal(() => validateQueueProperties('q', 'v', { durable, autoDelete, arguments: args }, exclusive))
      }
      const expected = property && failed(`invalid property '${property}' for queue 'q' in vhost 'v'`)
      expect(check(quorum) ?? null).toEqual(expected)
      expect(check(NO_ARGUMENTS)).toBeUndefined()
    },
  )
})

describe('a value that was given and one that is there', () => {
  const inequivalent = (received: string, current: string) => {
    return failed(`inequivalent arg 'k' for queue 'q' in vhost 'v': received ${received} but current is ${current}`)
  }
  const compared = (received?: FieldValue, current?: FieldValue) => {
    return refusal(() => assertEquivalent('queue', 'q', 'v', 'k', received, current))
  }

  test.each<[FieldValue, FieldValue]>([
    [signedint(10), long(10n)],
    [
      { type: 'byte', value: -1 },
      { type: 'short', value: -1 },
    ],
    [
      { type: 'unsignedbyte', value: 200 },
      { type: 'unsignedint', value: 200 },
    ],
    [{ type: 'float', value: 1.5 }, double(1.5)],
    [longstr('grün'), bytes('grün')],
    [longstr('\uDCFF\uDC80a'), { type: 'binary', value: Buffer.of(0xff, 0x80, 0x61) }],
    [bool(true), bool(true)],
    [signedint(5), { type: 'timestamp', value: 5n }],
    [{ type: 'timestamp', value: 5n }, long(5n)],
    [
      { type: 'decimal', value: 5, scale: 1 },
      { type: 'decimal', value: 5, scale: 1 },
    ],
    [
      { type: 'void', value: null },
      { type: 'void', value: null },
    ],
  ])('are equivalent: %o and %o', (a, b) => {
    expect(compared(a, b)).toBeUndefined()
    expect(compared(b, a)).toBeUndefined()
  })

  test('are equivalent when neither is there', () => {
    expect(compared()).toBeUndefined()
  })

  test.each<[FieldValue, FieldValue, string, string]>([
    [signedint(2000), signedint(1000), "'2000'", "'1000'"],
    [long(2n ** 60n), signedint(1), "'1152921504606846976'", "'1'"],
    [longstr('a'), longstr('b'), "'a'", "'b'"],
    [bool(true), bool(false), "'true'", "'false'"],
    [signedint(1), double(1), "'1'", "'1.0'"],
    [signedint(1), longstr('1'), "'1'", "'1'"],
    [double(0.25), double(1e21), "'0.25'", "'1.0e21'"],
    [{ type: 'decimal', value: 100, scale: 2 }, signedint(1), "'{2,100}'", "'1'"],
    [bytes('a'), longstr('b'), "'a'", "'b'"],
    [
      { type: 'array', value: [signedint(1), longstr('a"b')] },
      { type: 'table', value: table({ k: longstr('v'), n: { type: 'void', value: null } }) },
      String.raw`'[{signedint,1},{longstr,<<"a\"b">>}]'`,
      `'[{<<"k">>,longstr,<<"v">>},{<<"n">>,void,undefined}]'`,
    ],
  ])('differ: %o and %o', (received, current, shownReceived, shownCurrent) => {
    expect(compared(received, current)).toEqual(inequivalent(shownReceived, shownCurrent))
  })

  test.each<[FieldValue, string]>([
    [signedint(1000), "the value '1000' of type 'signedint'"],
    [{ type: 'byte', value: 1 }, "the value '1' of type 'byte'"],
    [{ type: 'unsignedbyte', value: 1 }, "the value '1' of type 'unsignedbyte'"],
    [{ type: 'short', value: 1 }, "the value '1' of type 'short'"],
    [{ type: 'unsignedshort', value: 1 }, "the value '1' of type 'unsignedshort'"],
    [{ type: 'unsignedint', value: 1 }, "the value '1' of type 'unsignedint'"],
    [long(1n), "the value '1' of type 'long'"],
    [{ type: 'float', value: 0.5 }, "the value '0.5' of type 'float'"],
    [double(2), "the value '2.0' of type 'double'"],
    [longstr('lazy'), "the value 'lazy' of type 'longstr'"],
    [bytes('lazy'), "the value 'lazy' of type 'binary'"],
    [bool(false), "the value 'false' of type 'bool'"],
    [{ type: 'timestamp', value: 5n }, "the value '5' of type 'timestamp'"],
    [{ type: 'void', value: null }, "the value 'undefined' of type 'void'"],
  ])('differ when only one of them is there: %o', (value, shown) => {
    expect(compared(value)).toEqual(inequivalent(shown, 'none'))
    expect(compared(undefined, value)).toEqual(inequivalent('none', shown))
  })
})

describe('declaring a queue again', () => {
  const existing = {
    name: 'q',
    durable: true,
    autoDelete: false,
    arguments: table({ 'x-message-ttl': signedint(1000), 'x-max-length': signedint(5), 'x-unknown': signedint(1) }),
  }
  const again = (changes: Partial<typeof existing>, from = existing) => {
    return refusal(() => assertQueueEquivalent(from, { ...from, ...changes }, 'v'))
  }
  const inequivalent = (key: string, rest: string) =>
    failed(`inequivalent arg '${key}' for queue 'q' in vhost 'v': ${rest}`)

  test('is fine with the same terms, whatever the width of integers and the unknown arguments', () => {
    expect(again({})).toBeUndefined()
    const same = { 'x-message-ttl': long(1000n), 'x-max-length': signedint(5), 'x-other': longstr('x') }
    expect(again({ arguments: table(same) })).toBeUndefined()
    expect(again({ arguments: table({ ...same, 'x-queue-type': longstr('classic') }) })).toBeUndefined()
  })

  test('is refused for durable first, then auto_delete, then the arguments in their order', () => {
    const others = { durable: false, autoDelete: true, arguments: table({ 'x-max-length': signedint(6) }) }
    expect(again(others)).toEqual(inequivalent('durable', "received 'false' but current is 'true'"))
    expect(again({ ...others, durable: true })).toEqual(
      inequivalent('auto_delete', "received 'true' but current is 'false'"),
    )
    expect(again({ arguments: others.arguments })).toEqual(
      inequivalent('x-message-ttl', "received none but current is the value '1000' of type 'signedint'"),
    )
    const ttl = { 'x-message-ttl': signedint(1000) }
    expect(again({ arguments: table({ ...ttl, 'x-max-length': signedint(6) }) })).toEqual(
      inequivalent('x-max-length', "received '6' but current is '5'"),
    )
    expect(again({ arguments: table({ ...ttl, 'x-expires': signedint(9) }) })).toEqual(
      inequivalent('x-expires', "received the value '9' of type 'signedint' but current is none"),
    )
    expect(again({ arguments: table({ 'x-message-ttl': { type: 'void', value: null } }) })).toEqual(
      inequivalent('x-message-ttl', "received none but current is '1000'"),
    )
  })

  test('is refused for another type, classic being the one that is meant without', () => {
    const classic = { ...existing, arguments: NO_ARGUMENTS }
    const quorum = { ...existing, arguments: table({ 'x-queue-type': longstr('quorum') }) }
    expect(again({ arguments: NO_ARGUMENTS }, quorum)).toEqual(
      inequivalent('x-queue-type', "received 'classic' but current is 'quorum'"),
    )
    expect(again({ arguments: quorum.arguments }, classic)).toEqual(
      inequivalent('x-queue-type', "received 'quorum' but current is 'classic'"),
    )
  })

  test('compares each argument that a queue of its type may have', () => {
    for (const { key } of queueArguments.filter((argument) => argument.types.includes('quorum'))) {
      const from = { ...existing, arguments: table({ 'x-queue-type': longstr('quorum'), [key]: longstr('quorum') }) }
      const to = table({ 'x-queue-type': longstr('quorum'), [key]: longstr('other') })
      expect(again({ arguments: to }, from), key).toEqual(inequivalent(key, "received 'other' but current is 'quorum'"))
    }
  })
})

describe('declaring an exchange again', () => {
  const args = table({ 'alternate-exchange': longstr('rest'), other: signedint(1) })
  const existing = { name: 'x', ...exchangeProperties('direct', args) }
  const again = (changes: Partial<typeof existing>) => {
    return refusal(() => assertExchangeEquivalent(existing, { ...existing, ...changes }, 'v'))
  }
  const inequivalent = (key: string, rest: string) => {
    return failed(`inequivalent arg '${key}' for exchange 'x' in vhost 'v': ${rest}`)
  }

  test('is fine with the same terms, whatever the arguments that nobody compares', () => {
    expect(again({ arguments: table({ 'alternate-exchange': bytes('rest'), more: signedint(2) }) })).toBeUndefined()
  })

  test('is refused for the type first, then durable, auto_delete, internal and the alternate exchange', () => {
    const others = { type: 'topic', durable: false, autoDelete: true, internal: true, arguments: NO_ARGUMENTS }
    expect(again(others)).toEqual(inequivalent('type', "received 'topic' but current is 'direct'"))
    expect(again({ ...others, type: 'direct' })).toEqual(
      inequivalent('durable', "received 'false' but current is 'true'"),
    )
    expect(again({ ...others, type: 'direct', durable: true })).toEqual(
      inequivalent('auto_delete', "received 'true' but current is 'false'"),
    )
    expect(again({ internal: true, arguments: NO_ARGUMENTS })).toEqual(
      inequivalent('internal', "received 'true' but current is 'false'"),
    )
    expect(again({ arguments: NO_ARGUMENTS })).toEqual(
      inequivalent('alternate-exchange', "received none but current is the value 'rest' of type 'longstr'"),
    )
    expect(again({ arguments: table({ 'alternate-exchange': longstr('r') }) })).toEqual(
      inequivalent('alternate-exchange', "received 'r' but current is 'rest'"),
    )
  })
})

describe('the arguments of an exchange', () => {
  const validate = (args: FieldTable) =>
    refusal(() => validateExchangeArguments('x', 'v', { type: 'direct', arguments: args }))

  test('may name an alternate exchange, by a string', () => {
    expect(validate(table({ 'alternate-exchange': longstr('rest'), anything: signedint(1) }))).toBeUndefined()
    expect(validate(table({ 'alternate-exchange': signedint(1) }))).toEqual(
      failed("invalid type 'signedint' for arg 'alternate-exchange' in exchange 'x' in vhost 'v'"),
    )
  })
})

describe('the arguments of a consumer', () => {
  const validate = (values: Record<string, FieldValue>, queue: FieldTable = NO_ARGUMENTS) => {
    const declared = { name: 'q', durable: true, autoDelete: false, arguments: queue }
    return refusal(() => validateConsumerArguments(declared, 'v', table(values)))
  }
  const invalid = (key: string, term: string) => failed(`invalid arg '${key}' for queue 'q' in vhost 'v': ${term}`)

  test('may set a priority of any integer, and hold what nobody knows', () => {
    expect(validate({ 'x-priority': long(-10n), 'x-cancel-on-ha-failover': bool(true) })).toBeUndefined()
    expect(validate({ 'x-consumer-timeout': signedint(0), other: longstr('x') })).toBeUndefined()
  })

  test('are refused when they are no integers or too small', () => {
    expect(validate({ 'x-priority': longstr('1') })).toEqual(invalid('x-priority', '"expected integer, got longstr"'))
    expect(validate({ 'x-consumer-timeout': signedint(-1) })).toEqual(
      invalid('x-consumer-timeout', '{value_negative,-1}'),
    )
  })

  test('say by a bool whether they end when a mirror takes over, which none does', () => {
    expect(validate({ 'x-cancel-on-ha-failover': longstr('yes') })).toEqual(
      invalid('x-cancel-on-ha-failover', '{unacceptable_type,longstr}'),
    )
  })

  test.each(['x-stream-offset', 'x-stream-filter', 'x-stream-match-unfiltered'])('%s is for streams only', (key) => {
    const foreign = (type: string) => failed(`invalid arg '${key}' for queue 'q' in vhost 'v' of queue type ${type}`)
    expect(validate({ [key]: longstr('first') })).toEqual(foreign('rabbit_classic_queue'))
    const quorum = table({ 'x-queue-type': longstr('quorum') })
    expect(validate({ [key]: longstr('first') }, quorum)).toEqual(foreign('rabbit_quorum_queue'))
  })
})
