// pika, and kombu without Celery, unmodified.
import { describe, expect, it } from 'vitest'
import { useBroker } from '../support/broker.ts'
import { runPython, whyNoPython } from '../support/python.ts'

const why = whyNoPython('pika', 'kombu')

describe.skipIf(why !== null)(`pika and kombu${why === null ? '' : ` (${why})`}`, { timeout: 60_000 }, () => {
  const broker = useBroker()
  const ask = (what: string): Promise<unknown> =>
    runPython(['client.py', what], { cwd: import.meta.dirname, env: { BROKER: broker.url } })

  it('hears of confirms, returns and refusals, and gets headers as they were', async () => {
    expect(await ask('confirms')).toEqual({
      outcomes: ['confirmed', 'unroutable', 'confirmed', 'refused'],
      body: '1',
      redelivered: true,
      headers: { n: 1, big: 2 ** 40, text: 'häre' },
    })
  })

  it('consumes in order from a queue that the broker named', async () => {
    expect(await ask('consuming')).toBe(true)
  })

  it('knows errors by their codes', async () => {
    expect(await ask('refusals')).toEqual({ passive: 404, login: 'ProbableAuthenticationError' })
  })

  it("works with kombu's simple queues", async () => {
    expect(await ask('simple_queue')).toEqual([0, 1, 2])
  })
})
