// aioamqp, a client for Python's asyncio, unmodified.
import { expect, it, describe } from 'vitest'
import { useBroker } from '../support/broker.ts'
import { because } from '../support/client-program.ts'
import { runPython, whyNoPython } from '../support/python.ts'

const why = whyNoPython('aioamqp')

describe.skipIf(why !== null)(`aioamqp${because(why)}`, { timeout: 60_000 }, () => {
  const broker = useBroker()

  it('publishes with confirms, consumes and requeues, and is refused', async () => {
    const env = { BROKER_PORT: String(broker.port) }
    expect(await runPython(['client.py'], { cwd: import.meta.dirname, env })).toEqual([
      ['one', true],
      ['one', true],
      ['two', true],
      [300_000, true],
      "404 NOT_FOUND - no queue 'absent' in vhost '/'",
    ])
  })
})
