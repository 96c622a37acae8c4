// Celery with kombu, unmodified: tasks, retries, times, chords, priorities and the remote control of its worker.
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { useBroker } from '../support/broker.ts'
import { endPython, runPython, startPython, whyNoPython } from '../support/python.ts'

const why = whyNoPython('celery')

describe.skipIf(why !== null)(`Celery${why === null ? '' : ` (${why})`}`, { timeout: 120_000 }, () => {
  const broker = useBroker()
  const cwd = import.meta.dirname
  const directory = mkdtempSync(join(tmpdir(), 'leveret-celery-'))
  const workers: ChildProcess[] = []
  afterAll(async () => {
    await Promise.all(workers.map(endPython))
    rmSync(directory, { recursive: true })
  })

  /** The application with its results over AMQP, or in files: only there has Celery chords. */
  function environment(results: 'rpc' | 'files'): Record<string, string> {
    const files = join(directory, 'results')
    mkdirSync(files, { recursive: true })
    return { BROKER: broker.url, BACKEND: results === 'rpc' ? 'rpc://' : `file://${files}`, HOME: directory }
  }

  function ask(what: string, results: 'rpc' | 'files' = 'rpc'): Promise<unknown> {
    return runPython(['client.py', what, join(directory, 'notes')], { cwd, env: environment(results) })
  }

  beforeAll(async () => {
    expect(await ask('priorities')).toBe('sent')
    const words = ['-m', 'celery', '-A', 'tasks', 'worker', '-c', '1', '--loglevel', 'warning']
    workers.push(startPython(words, { cwd, env: environment('files') }))
  }, 60_000)

  it('takes tasks by their priority, and those of one priority in their order', async () => {
    expect(await ask('tasks', 'files')).toEqual({
      group: Array.from({ length: 50 }, (_, i) => 2 * i),
      chain: 10,
      order: ['high', 'middle', 'low', 'second low'],
    })
  })

  it('runs chords', async () => {
    expect(await ask('chords', 'files')).toBe(90)
  })

  it('answers its remote control', async () => {
    expect(await ask('control', 'files')).toEqual({ ping: [{ ok: 'pong' }], queues: ['celery'] })
  })

  it('gets results back by way of the broker, after retries and at their time', async () => {
    await Promise.all(workers.splice(0).map(endPython))
    const words = ['-m', 'celery', '-A', 'tasks', 'worker', '-c', '2', '--loglevel', 'warning']
    workers.push(startPython(words, { cwd, env: environment('rpc') }))
    expect(await ask('retries')).toEqual({ retries: 2, failure: 'this task always fails' })
    expect(await ask('eta')).toEqual({ value: 4, early: false, expired: 'TaskRevokedError' })
  })
})
