import { describe, expect, test } from 'vitest'
import { Binding } from '../../../src/core/exchange/binding.ts'
import { route, type Exchange } from '../../../src/core/exchange/exchange.ts'
import { createExchange } from '../../../src/core/exchange/exchange-types.ts'
import { Routes } from '../../../src/core/exchange/routes.ts'
import type { Queue } from '../../../src/core/queue/queue.ts'
import { NO_ARGUMENTS } from '../../../src/core/value.ts'
import { exchangeProperties, longstr, messageOf, queueNamed, table } from '../../support/core.ts'

/** Some exchanges and queues by name, bound as the tests say. */
class Topology {
  readonly exchanges = new Map<string, Exchange>()
  readonly queues = new Map<string, Queue>()
  readonly routes = new Routes()

  exchange(name: string, type = 'direct', alternate?: string): this {
    const args = alternate === undefined ? NO_ARGUMENTS : table({ 'alternate-exchange': longstr(alternate) })
    this.exchanges.set(
      name,
      createExchange(name, exchangeProperties(type, args), {
        headers: () => NO_ARGUMENTS,
        property: () => null,
      }),
    )
    return this
  }

  /** Binds to the exchange of this name, or else to the queue. */
  bind(source: string, destination: string, key = ''): this {
    const exchange = this.exchanges.get(source)!
    const queue = this.queues.get(destination) ?? queueNamed(destination)
    this.queues.set(destination, queue)
    exchange.bind(new Binding(exchange, this.exchanges.get(destination) ?? queue, key, NO_ARGUMENTS))
    return this
  }

  reached(name: string, key = ''): string[] {
    const { routes } = this
    routes.begin()
    route(this.exchanges.get(name)!, messageOf(key), routes, (wanted) => this.exchanges.get(wanted))
    return routes.queues
      .slice(0, routes.length)
      .map((queue) => queue.name)
      .toSorted()
  }
}

describe('routing from exchange to exchange', () => {
  test('matches the same routing key again at each of them', () => {
    const topology = new Topology().exchange('x', 'topic').exchange('y', 'direct').exchange('z', 'fanout')
    topology.bind('x', 'y', 'a.*').bind('y', 'q1', 'a.b').bind('y', 'q2', 'a.c').bind('y', 'z', 'a.b').bind('z', 'q3')
    expect(topology.reached('x', 'a.b')).toEqual(['q1', 'q3'])
    expect(topology.reached('x', 'a.c')).toEqual(['q2'])
    expect(topology.reached('x', 'b')).toEqual([])
  })

  test('gives each queue one copy, by however many ways it is reached', () => {
    const topology = new Topology()
    for (const name of ['top', 'left', 'right', 'bottom']) topology.exchange(name, 'fanout')
    topology.bind('top', 'left').bind('top', 'right').bind('left', 'bottom').bind('right', 'bottom')
    topology.bind('top', 'q').bind('left', 'q').bind('bottom', 'q').bind('bottom', 'q', 'again')
    expect(topology.reached('top')).toEqual(['q'])
  })

  test('ends in a cycle, and passes each exchange of it', () => {
    const topology = new Topology()
    for (const name of ['a', 'b', 'c']) topology.exchange(name, 'fanout')
    topology.bind('a', 'b').bind('b', 'c').bind('c', 'a').bind('a', 'a').bind('a', 'q1').bind('b', 'q2').bind('c', 'q3')
    for (const name of ['a', 'b', 'c']) expect(topology.reached(name)).toEqual(['q1', 'q2', 'q3'])
  })

  test('takes a chain of any length', () => {
    const topology = new Topology()
    const length = 20_000
    for (let i = 0; i < length; i++) topology.exchange(`x${i}`, 'fanout')
    for (let i = 1; i < length; i++) topology.bind(`x${i - 1}`, `x${i}`)
    topology.bind(`x${length - 1}`, 'q')
    expect(topology.reached('x0')).toEqual(['q'])
    expect(topology.reached(`x${length - 2}`)).toEqual(['q'])
  })
})

describe('an alternate exchange', () => {
  test('takes what matched nothing, with the same key, and nothing else', () => {
    const topology = new Topology().exchange('x', 'direct', 'rest').exchange('rest', 'direct')
    topology.bind('x', 'q', 'known').bind('rest', 'other', 'unknown')
    expect(topology.reached('x', 'known')).toEqual(['q'])
    expect(topology.reached('x', 'unknown')).toEqual(['other'])
    expect(topology.reached('x', 'neither')).toEqual([])
  })

  test('is not asked when another exchange matched, though that one leads nowhere', () => {
    const topology = new Topology().exchange('x', 'direct', 'rest').exchange('y', 'fanout').exchange('rest', 'fanout')
    topology.bind('x', 'y', 'k').bind('rest', 'q')
    expect(topology.reached('x', 'k')).toEqual([])
    expect(topology.reached('x', 'other')).toEqual(['q'])
  })

  test('is not asked when what matched had been reached before', () => {
    const topology = new Topology()
    topology.exchange('x', 'fanout').exchange('y', 'fanout', 'rest').exchange('z', 'fanout', 'rest')
    topology.exchange('rest', 'fanout')
    topology.bind('x', 'q').bind('x', 'y').bind('x', 'z').bind('y', 'q').bind('z', 'y').bind('rest', 'lost')
    expect(topology.reached('x')).toEqual(['q'])
  })

  test('of an exchange on the way is asked too', () => {
    const topology = new Topology().exchange('x', 'fanout').exchange('y', 'direct', 'rest').exchange('rest', 'fanout')
    topology.bind('x', 'y').bind('x', 'q1').bind('rest', 'q2')
    expect(topology.reached('x', 'unknown')).toEqual(['q1', 'q2'])
  })

  test('may have an alternate in turn, and be one of those before it', () => {
    const topology = new Topology()
    topology.exchange('a', 'direct', 'b').exchange('b', 'direct', 'c').exchange('c', 'direct', 'a')
    topology.bind('c', 'q', 'k')
    expect(topology.reached('a', 'k')).toEqual(['q'])
    expect(topology.reached('a', 'unknown')).toEqual([])
  })

  test('that does not exist is ignored', () => {
    const topology = new Topology().exchange('x', 'direct', 'missing')
    expect(topology.reached('x', 'k')).toEqual([])
  })
})

describe('routes', () => {
  test('forget the message before', () => {
    const topology = new Topology().exchange('x', 'direct')
    topology.bind('x', 'q1', 'a').bind('x', 'q2', 'a').bind('x', 'q2', 'b')
    expect(topology.reached('x', 'a')).toEqual(['q1', 'q2'])
    expect(topology.reached('x', 'b')).toEqual(['q2'])
    expect(topology.reached('x', 'a')).toEqual(['q1', 'q2'])
    expect(topology.reached('x', 'c')).toEqual([])
  })

  test('do not take the marks of other routes for their own', () => {
    const queue = queueNamed('q')
    for (const routes of [new Routes(), new Routes(), new Routes()]) {
      routes.begin()
      routes.add(queue)
      routes.add(queue)
      expect(routes.length).toBe(1)
    }
  })

  test('give their array back after a great fan-out', () => {
    const routes = new Routes()
    routes.begin()
    for (let i = 0; i < 2000; i++) routes.add(queueNamed(`q${i}`))
    const large = routes.queues
    routes.begin()
    expect(routes.queues).not.toBe(large)
    routes.add(queueNamed('q'))
    const small = routes.queues
    routes.begin()
    expect(routes.queues).toBe(small)
    expect(routes.length).toBe(0)
  })
})
