import { expect, it } from 'vitest'
import { Binding } from '../../../src/core/exchange/binding.ts'
import { route } from '../../../src/core/exchange/exchange.ts'
import { Routes } from '../../../src/core/exchange/routes.ts'
import { TopicExchange } from '../../../src/core/exchange/topic.ts'
import { NO_ARGUMENTS } from '../../../src/core/value.ts'
import { exchangeProperties, messageOf, queueNamed } from '../../support/core.ts'

/** Enough for what a key matches to be remembered. */
const MANY = 2000

it('knows of bindings that come and go while it remembers what keys match', () => {
  const exchange = new TopicExchange('x', exchangeProperties('topic'))
  const bind = (pattern: string): Binding => {
    const binding = new Binding(exchange, queueNamed(pattern), pattern, NO_ARGUMENTS)
    exchange.bind(binding)
    return binding
  }
  const routed = (key: string): string[] => {
    const routes = new Routes()
    routes.begin()
    route(exchange, messageOf(key), routes, () => undefined)
    return routes.queues
      .slice(0, routes.length)
      .map(({ name }) => name)
      .toSorted()
  }
  for (let i = 0; i < MANY; i++) bind(`a.${i}`)
  for (let round = 0; round < 2; round++) expect(routed('a.7')).toEqual(['a.7'])
  expect(routed('none')).toEqual([])
  const wild = bind('#.7')
  const other = bind('none')
  for (let round = 0; round < 2; round++) expect(routed('a.7')).toEqual(['#.7', 'a.7'])
  expect(routed('none')).toEqual(['none'])
  exchange.unbind(wild.identity)
  exchange.unbind(other.identity)
  for (let round = 0; round < 2; round++) expect(routed('a.7')).toEqual(['a.7'])
  expect(routed('none')).toEqual([])
})

it('routes more keys than it remembers, and keys that match much', () => {
  const exchange = new TopicExchange('x', exchangeProperties('topic'))
  const queues = Array.from({ length: MANY }, (_, index) => queueNamed(`q${index}`))
  for (const queue of queues) exchange.bind(new Binding(exchange, queue, 'all.*', NO_ARGUMENTS))
  exchange.bind(new Binding(exchange, queues[0]!, 'one.#', NO_ARGUMENTS))
  const routes = new Routes()
  for (let i = 0; i < 20_000; i++) {
    routes.begin()
    route(exchange, messageOf(`one.${i}`), routes, () => undefined)
    expect(routes.length).toBe(1)
  }
  routes.begin()
  route(exchange, messageOf('all.1'), routes, () => undefined)
  expect(routes.length).toBe(MANY)
})
