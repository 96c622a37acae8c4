import { describe, expect, test, vi } from 'vitest'
import { Binding } from '../../../src/core/exchange/binding.ts'
import { HeadersExchange } from '../../../src/core/exchange/headers.ts'
import { Routes } from '../../../src/core/exchange/routes.ts'
import { NO_ARGUMENTS, type FieldTable, type FieldValue } from '../../../src/core/value.ts'
import { exchangeProperties, longstr, messageOf, queueNamed, signedint, table } from '../../support/core.ts'

function matches(args: FieldTable, headers: FieldTable | null): boolean {
  const codec = { headers: vi.fn(() => headers ?? NO_ARGUMENTS) }
  const exchange = new HeadersExchange('x', exchangeProperties('headers'), codec)
  exchange.bind(new Binding(exchange, queueNamed('q'), '', args))
  const routes = new Routes()
  routes.begin()
  exchange.match(messageOf('', headers !== null), '', routes)
  expect(codec.headers).toHaveBeenCalledTimes(headers === null ? 0 : 1)
  return routes.length === 1
}

const VOID: FieldValue = { type: 'void', value: null }

describe('a binding of a headers exchange', () => {
  const args = { a: longstr('1'), b: longstr('2'), 'x-c': longstr('3') }
  test.each([
    // x-match, headers of the message, whether they match
    [null, { a: '1', b: '2' }, true],
    [null, { a: '1', b: 'other' }, false],
    ['all', { a: '1', b: '2', more: '9' }, true],
    ['all', { a: '1' }, false],
    ['all', { a: '1', b: '2', 'x-c': 'other' }, true],
    ['any', { a: '1' }, true],
    ['any', { b: '2', a: 'other' }, true],
    ['any', { a: 'other' }, false],
    ['any', { 'x-c': '3' }, false],
    ['all-with-x', { a: '1', b: '2', 'x-c': '3' }, true],
    ['all-with-x', { a: '1', b: '2' }, false],
    ['any-with-x', { 'x-c': '3' }, true],
    ['any-with-x', { 'x-match': 'any-with-x' }, false],
  ])('with x-match %j and the headers %j: %j', (mode, headers, expected) => {
    const terms = table(mode === null ? args : { ...args, 'x-match': longstr(mode) })
    const sent = new Map(Object.entries(headers).map(([key, value]) => [key, longstr(value)]))
    expect(matches(terms, sent)).toBe(expected)
  })

  test.each([
    ['all', true],
    ['any', false],
    ['all-with-x', true],
    ['any-with-x', false],
  ])('that asks for nothing with %s: %j, with headers and without', (mode, expected) => {
    const terms = table({ 'x-match': longstr(mode) })
    expect(matches(terms, null)).toBe(expected)
    expect(matches(terms, table({ a: longstr('1') }))).toBe(expected)
  })

  test('asks a message without headers as one with none that match', () => {
    expect(matches(table({ a: longstr('1') }), null)).toBe(false)
    expect(matches(table({ a: VOID }), null)).toBe(false)
  })

  const bytes = (text: string): FieldValue => ({ type: 'binary', value: Buffer.from(text) })
  const double = (value: number): FieldValue => ({ type: 'double', value })
  const long = (value: bigint): FieldValue => ({ type: 'long', value })
  const time = (value: bigint): FieldValue => ({ type: 'timestamp', value })
  const list = (...value: FieldValue[]): FieldValue => ({ type: 'array', value })
  const nested = (value: Record<string, FieldValue>): FieldValue => ({ type: 'table', value: table(value) })
  test.each<[string, FieldValue, FieldValue, boolean]>([
    ['integers of two widths', signedint(5), long(5n), true],
    ['different integers', signedint(5), long(6n), false],
    ['an integer and a float', signedint(5), double(5), false],
    ['a float and a double', { type: 'float', value: 0.5 }, double(0.5), true],
    ['an integer and its digits', signedint(5), longstr('5'), false],
    ['a string and the same bytes', longstr('é'), bytes('é'), true],
    ['bytes and the same string', bytes('a'), longstr('a'), true],
    ['a string and other bytes', longstr('a'), bytes('b'), false],
    ['strings that differ in case', longstr('a'), longstr('A'), false],
    ['booleans', { type: 'bool', value: true }, { type: 'bool', value: true }, true],
    ['a boolean and an integer', { type: 'bool', value: true }, signedint(1), false],
    ['equal arrays', list(signedint(1), longstr('a')), list(long(1n), bytes('a')), true],
    ['arrays in another order', list(signedint(1), signedint(2)), list(signedint(2), signedint(1)), false],
    ['tables in another order', nested({ a: VOID, b: VOID }), nested({ b: VOID, a: VOID }), true],
    ['a table and a smaller one', nested({ a: VOID, b: VOID }), nested({ a: VOID }), false],
    ['timestamps, equal as they are', time(1000n), time(1000n), false],
    ['an integer and a timestamp', signedint(1000), time(1000n), false],
    ['a void and anything', VOID, longstr('x'), true],
    ['a void and a timestamp', VOID, time(1n), true],
    ['a void and a void', VOID, VOID, true],
    ['a string and a void', longstr(''), VOID, false],
  ])('compares %s', (_, wanted, header, expected) => {
    expect(matches(table({ key: wanted }), table({ key: header }))).toBe(expected)
    expect(matches(table({ key: wanted }), table({ other: header }))).toBe(false)
  })

  test.each([
    [longstr('foo'), 'Invalid x-match field value <<"foo">>; expected all, any, all-with-x, or any-with-x'],
    [longstr(''), 'Invalid x-match field value <<>>; expected all, any, all-with-x, or any-with-x'],
    [longstr('ALL'), 'Invalid x-match field value <<"ALL">>; expected all, any, all-with-x, or any-with-x'],
    [signedint(23), 'Invalid x-match field type signedint (value 23); expected longstr'],
    [VOID, 'Invalid x-match field type void (value undefined); expected longstr'],
  ])('is refused with x-match %o, and leaves nothing behind', (mode, sentence) => {
    const exchange = new HeadersExchange('x', exchangeProperties('headers'), { headers: () => NO_ARGUMENTS })
    const binding = new Binding(exchange, queueNamed('q'), '', table({ 'x-match': mode }))
    const refusal = { code: 'precondition-failed', message: sentence }
    expect(() => exchange.bind(binding)).toThrow(expect.objectContaining(refusal))
    expect(exchange.sourceBindings.size).toBe(0)
  })
})

test('a headers exchange reads the headers once for all its bindings, and forbids to repeat its answer', () => {
  const codec = { headers: vi.fn(() => table({ a: longstr('1') })) }
  const exchange = new HeadersExchange('x', exchangeProperties('headers'), codec)
  const routes = new Routes()
  routes.begin()
  exchange.match(messageOf('', true), '', routes)
  expect(codec.headers).not.toHaveBeenCalled()
  expect(routes.repeatable).toBe(true)
  for (const name of ['q1', 'q2']) {
    exchange.bind(new Binding(exchange, queueNamed(name), '', table({ a: longstr('1') })))
  }
  exchange.match(messageOf('', true), '', routes)
  expect(routes.length).toBe(2)
  expect(codec.headers).toHaveBeenCalledOnce()
  expect(routes.repeatable).toBe(false)
})
