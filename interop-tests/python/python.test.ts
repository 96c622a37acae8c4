// Celery over kombu, and pika, as Debian packages them: unmodified clients that were written for RabbitMQ.
import { execFile, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { useBroker } from '../support/broker.ts'

const PYTHON = '/usr/bin/python3'
const run = promisify(execFile)

function imports(...modules: readonly string[]): boolean {
  return spawnSync(PYTHON, ['-c', `import ${modules.join(', ')}`]).status === 0
}

const celery = imports('celery', 'kombu')
const pika = imports('pika')
const broker = useBroker()

/** Runs a program beside this file; returns what it printed. */
async function said(words: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<unknown> {
  const env = { ...process.env, INTEROP_BROKER: `${broker.url}/`, PYTHONDONTWRITEBYTECODE: '1', ...environment }
  const { stdout } = await run(PYTHON, [...words], { cwd: import.meta.dirname, env, timeout: 100_000 })
  return JSON.parse(stdout)
}

describe.skipIf(!celery)(`Celery${celery ? '' : ' (skipped: python3-celery is not installed)'}`, () => {
  it('runs tasks by priority, retries them, waits for their time, and sends results back', async () => {
    const results = await said(['drive.py'], { INTEROP_RESULTS: 'rpc://' })
    expect(results).toEqual({
      order: [9, 5, 1],
      sum: 5,
      retries: 2,
      group: [0, 2, 4, 6, 8],
      chain: 7,
      waited: true,
    })
  }, 120_000)
})

describe.skipIf(!pika)(`pika${pika ? '' : ' (skipped: python3-pika is not installed)'}`, () => {
  it('confirms, requeues and returns by its blocking connection', async () => {
    expect(await said(['round_trip.py'])).toEqual({
      body: 'hello',
      headers: { n: 1, when: null, list: ['a', 2] },
      redelivered: true,
      returned: true,
    })
  }, 120_000)
})
