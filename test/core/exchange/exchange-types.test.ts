import { describe, expect, test } from 'vitest'
import { Binding } from '../../../src/core/exchange/binding.ts'
import type { Exchange } from '../../../src/core/exchange/exchange.ts'
import { assertExchangeType, createExchange, exchangeTypes } from '../../../src/core/exchange/exchange-types.ts'
import { Routes } from '../../../src/core/exchange/routes.ts'
import type { PropertyCodec } from '../../../src/core/ports.ts'
import { NO_ARGUMENTS, type FieldTable } from '../../../src/core/value.ts'
import { exchangeProperties, longstr, messageOf, queueNamed, signedint, table } from '../../support/core.ts'

/** Headers of the one message that these tests send. */
const headers = table({ colour: longstr('red') })
const codec: PropertyCodec = { headers: () => headers, property: () => null, rewritten: () => Buffer.alloc(2) }

function exchangeOf(type: string): Exchange {
  return createExchange('x', exchangeProperties(type), codec)
}

function reached(exchange: Exchange, key: string): string[] {
  const routes = new Routes()
  routes.begin()
  exchange.match(messageOf(key, true), key, routes)
  return routes.queues
    .slice(0, routes.length)
    .map((queue) => queue.name)
    .toSorted()
}

interface Case {
  readonly type: string
  /** Terms that match what is sent, and terms that do not. */
  readonly matching: readonly [key: string, args: FieldTable]
  readonly other: readonly [key: string, args: FieldTable] | null
}

const red = table({ colour: longstr('red') })
const blue = table({ colour: longstr('blue') })
const KEY = 'stock.usd'
const cases: readonly Case[] = [
  { type: 'direct', matching: [KEY, NO_ARGUMENTS], other: ['stock', NO_ARGUMENTS] },
  { type: 'fanout', matching: ['whatever', NO_ARGUMENTS], other: null },
  { type: 'topic', matching: ['stock.#', NO_ARGUMENTS], other: ['stock.*.nyse', NO_ARGUMENTS] },
  { type: 'headers', matching: ['whatever', red], other: [KEY, blue] },
]

describe.each(cases)('an exchange of type $type', ({ type, matching, other }) => {
  test('reaches the queues whose bindings match, and those only', () => {
    const exchange = exchangeOf(type)
    exchange.bind(new Binding(exchange, queueNamed('q1'), ...matching))
    exchange.bind(new Binding(exchange, queueNamed('q2'), ...matching))
    if (other !== null) exchange.bind(new Binding(exchange, queueNamed('q3'), ...other))
    expect(reached(exchange, KEY)).toEqual(['q1', 'q2'])
  })

  test('reaches nothing without bindings', () => {
    expect(reached(exchangeOf(type), KEY)).toEqual([])
  })

  test('takes the same binding once, and another by its arguments besides', () => {
    const exchange = exchangeOf(type)
    const queue = queueNamed('q')
    const [key, args] = matching
    expect(exchange.bind(new Binding(exchange, queue, key, args))).toBe(true)
    expect(exchange.bind(new Binding(exchange, queue, key, args))).toBe(false)
    expect(exchange.bind(new Binding(exchange, queue, key, new Map([...args, ['x-note', signedint(1)]])))).toBe(true)
    expect(exchange.sourceBindings.size).toBe(2)
    expect(reached(exchange, KEY)).toEqual(['q'])
  })

  test('reaches a queue for as long as one of its bindings is left', () => {
    const exchange = exchangeOf(type)
    const [queue, neighbour] = [queueNamed('q'), queueNamed('neighbour')]
    const [key, args] = matching
    const first = new Binding(exchange, queue, key, args)
    const second = new Binding(exchange, queue, key, new Map([...args, ['x-note', signedint(1)]]))
    for (const binding of [first, new Binding(exchange, neighbour, key, args), second]) exchange.bind(binding)
    expect(exchange.unbind(first.identity)).toBe(first)
    expect(reached(exchange, KEY)).toEqual(['neighbour', 'q'])
    expect(exchange.unbind(new Binding(exchange, queue, key, second.arguments).identity)).toBe(second)
    expect(reached(exchange, KEY)).toEqual(['neighbour'])
    expect(exchange.unbind(second.identity)).toBeUndefined()
  })

  test('tells of a match also when its destinations were there before', () => {
    const exchange = exchangeOf(type)
    const queue = queueNamed('q')
    exchange.bind(new Binding(exchange, queue, ...matching))
    const routes = new Routes()
    routes.begin()
    routes.add(queue)
    routes.matched = false
    exchange.match(messageOf(KEY, true), KEY, routes)
    expect(routes.matched).toBe(true)
    expect(routes.length).toBe(1)
  })

  test('keeps the books of an exchange that it is bound to', () => {
    const [exchange, destination] = [exchangeOf(type), exchangeOf('fanout')]
    const binding = new Binding(exchange, destination, ...matching)
    exchange.bind(binding)
    expect([...destination.destinationBindings]).toEqual([binding])
    exchange.unbind(binding.identity)
    expect(destination.destinationBindings.size).toBe(0)
  })
})

describe('a direct exchange', () => {
  test.each([
    ['', '', true],
    ['a', 'A', false],
    ['a.b', 'a.b', true],
    ['*', 'a', false],
    ['#', 'a', false],
    ['a', 'a ', false],
  ])('with the binding key %j and the routing key %j: %j', (bindingKey, routingKey, matching) => {
    const exchange = exchangeOf('direct')
    exchange.bind(new Binding(exchange, queueNamed('q'), bindingKey, NO_ARGUMENTS))
    expect(reached(exchange, routingKey)).toEqual(matching ? ['q'] : [])
  })
})

describe('the identity of a binding', () => {
  const exchange = exchangeOf('direct')
  const queue = queueNamed('q')

  test('does not depend on the order of the arguments', () => {
    const one = table({ a: signedint(1), b: table0({ c: longstr('x'), d: longstr('y') }) })
    const same = table({ b: table0({ d: longstr('y'), c: longstr('x') }), a: signedint(1) })
    expect(new Binding(exchange, queue, 'k', one).identity).toBe(new Binding(exchange, queue, 'k', same).identity)
  })

  test('tells all else apart', () => {
    const others = [
      new Binding(exchange, queue, 'k', NO_ARGUMENTS),
      new Binding(exchange, exchangeOfName('q'), 'k', NO_ARGUMENTS),
      new Binding(exchange, queueNamed('q1'), 'k', NO_ARGUMENTS),
      new Binding(exchange, queueNamed('q'), '1:k', NO_ARGUMENTS),
      new Binding(exchange, queueNamed('q1:'), 'k', NO_ARGUMENTS),
      new Binding(exchange, queueNamed('q'), 'k[]', NO_ARGUMENTS),
      new Binding(exchange, queue, '', NO_ARGUMENTS),
      new Binding(exchange, queue, 'k', table({ a: signedint(1) })),
      new Binding(exchange, queue, 'k', table({ a: { type: 'long', value: 1n } })),
      new Binding(exchange, queue, 'k', table({ a: longstr('1') })),
      new Binding(exchange, queue, 'k', table({ a: { type: 'binary', value: Buffer.from('1') } })),
      new Binding(exchange, queue, 'k', table({ a: { type: 'decimal', value: 1, scale: 0 } })),
      new Binding(exchange, queue, 'k', table({ a: { type: 'decimal', value: 1, scale: 1 } })),
      new Binding(exchange, queue, 'k', table({ a: { type: 'double', value: NaN } })),
      new Binding(exchange, queue, 'k', table({ a: { type: 'void', value: null } })),
      new Binding(exchange, queue, 'k', table({ a: { type: 'array', value: [signedint(1)] } })),
      new Binding(exchange, queue, 'k', table({ b: signedint(1) })),
    ]
    expect(new Set(others.map((binding) => binding.identity)).size).toBe(others.length)
  })

  function table0(values: Parameters<typeof table>[0]) {
    return { type: 'table', value: table(values) } as const
  }

  function exchangeOfName(name: string): Exchange {
    return createExchange(name, exchangeProperties('fanout'), codec)
  }
})

describe('the exchange types', () => {
  test('are found by name', () => {
    for (const type of exchangeTypes.keys()) expect(exchangeOf(type).type).toBe(type)
    expect([...exchangeTypes.keys()]).toEqual(expect.arrayContaining(['direct', 'fanout', 'topic', 'headers']))
  })

  test('refuse a name that is none of theirs', () => {
    const refusal = { code: 'precondition-failed', message: "unknown exchange type 'foo'" }
    expect(() => exchangeOf('foo')).toThrow(expect.objectContaining(refusal))
    expect(() => assertExchangeType('foo')).toThrow(expect.objectContaining(refusal))
    expect(() => assertExchangeType('')).toThrow("invalid exchange type ''")
  })

  test('give an exchange what it was declared with', () => {
    const args = table({ 'alternate-exchange': longstr('rest'), note: signedint(1) })
    const properties = { type: 'topic', durable: false, autoDelete: true, internal: true, arguments: args }
    expect(createExchange('x', properties, codec)).toMatchObject({ ...properties, name: 'x', alternate: 'rest' })
  })
})
