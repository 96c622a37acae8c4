// Alarms: what they are called, and who hears of them when.
import { describe, expect, it } from 'vitest'
import { Alarms, type AlarmListener } from '../../src/core/alarms.ts'

class Publisher implements AlarmListener {
  readonly heard: string[] = []

  blocked(reason: string): void {
    this.heard.push(reason)
  }

  unblocked(): void {
    this.heard.push('clear')
  }
}

function listening(alarms: Alarms): Publisher {
  const publisher = new Publisher()
  alarms.add(publisher)
  return publisher
}

describe('alarms', () => {
  it('have no reason when none stands, and say which resources are low in one order', () => {
    const alarms = new Alarms()
    expect(alarms.reason).toBe('')
    alarms.raise('disk', 'limit')
    expect(alarms.reason).toBe('low on disk')
    alarms.raise('memory', 'limit')
    expect(alarms.reason).toBe('low on memory & disk')
    alarms.clear('disk', 'limit')
    expect(alarms.reason).toBe('low on memory')
  })

  it('are heard of when they are raised, when others join them, and when the last is clear', () => {
    const alarms = new Alarms()
    const publisher = listening(alarms)
    alarms.raise('memory', 'limit')
    alarms.raise('disk', 'limit')
    alarms.clear('memory', 'limit')
    alarms.clear('disk', 'limit')
    expect(publisher.heard).toEqual(['low on memory', 'low on memory & disk', 'low on disk', 'clear'])
  })

  it('are not heard of again when nothing has changed', () => {
    const alarms = new Alarms()
    const publisher = listening(alarms)
    alarms.clear('memory', 'limit')
    alarms.raise('memory', 'limit')
    alarms.raise('memory', 'limit')
    expect(publisher.heard).toEqual(['low on memory'])
  })

  it('stand for as long as one of their causes does', () => {
    const alarms = new Alarms()
    const publisher = listening(alarms)
    alarms.raise('disk', 'limit')
    alarms.raise('disk', 'failure')
    expect([...alarms.causes('disk')]).toEqual(['limit', 'failure'])
    alarms.clear('disk', 'limit')
    expect(alarms.reason).toBe('low on disk')
    alarms.clear('disk', 'failure')
    expect(publisher.heard).toEqual(['low on disk', 'clear'])
    expect(alarms.causes('disk').size).toBe(0)
  })

  it('are told at once to who comes while one stands, and not to who has gone', () => {
    const alarms = new Alarms()
    const gone = listening(alarms)
    alarms.raise('memory', 'limit')
    const late = listening(alarms)
    alarms.delete(gone)
    alarms.clear('memory', 'limit')
    expect([gone.heard, late.heard]).toEqual([['low on memory'], ['low on memory', 'clear']])
  })

  it('may have listeners that come and go while they are told', () => {
    const alarms = new Alarms()
    const [one, two] = [listening(alarms), new Publisher()]
    alarms.add({
      blocked: () => {
        alarms.delete(one)
        alarms.add(two)
      },
      unblocked: () => undefined,
    })
    alarms.raise('memory', 'limit')
    alarms.clear('memory', 'limit')
    expect(one.heard).toEqual(['low on memory'])
    expect(two.heard.at(-1)).toBe('clear')
  })
})
