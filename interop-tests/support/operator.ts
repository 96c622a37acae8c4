// What an operator does to a broker while a client uses it.
import { afterAll, beforeAll, vi } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import { startServer, type Server } from '../../src/server.ts'
import type { Broker } from './broker.ts'

const AUTHORIZATION = `Basic ${btoa('guest:guest')}`
const MEMORY_LIMIT_BYTES = 1_000_000_000

/** Closes all connections over the HTTP API. */
export async function closeConnections(broker: Broker): Promise<void> {
  const headers = { authorization: AUTHORIZATION }
  const answer = await fetch(`${broker.managementUrl}/api/connections`, { headers })
  const connections = (await answer.json()) as { name: string }[]
  for (const { name } of connections) {
    const url = `${broker.managementUrl}/api/connections/${encodeURIComponent(name)}`
    const { status } = await fetch(url, { method: 'DELETE', headers })
    if (status !== 204) throw new Error(`The connection ${name} is not closed: ${status}.`)
  }
}

/** A broker within this process, whose memory is as full as the test says. */
export interface StrainedBroker {
  readonly url: string
  readonly port: number
  /** Fills memory, or empties it, and lets the broker notice. */
  memory(full: boolean): void
}

/** One such broker for all tests of the block that calls this. */
export function useStrainedBroker(): StrainedBroker {
  const clock = new ManualClock()
  let server: Server | undefined
  let usedBytes = 0
  beforeAll(async () => {
    vi.spyOn(process.memoryUsage, 'rss').mockImplementation(() => usedBytes)
    server = await startServer({ host: '127.0.0.1', clock, memoryLimit: MEMORY_LIMIT_BYTES })
  })
  afterAll(async () => {
    await server?.close()
    vi.restoreAllMocks()
  })
  const port = (): number => {
    if (server === undefined) throw new Error('The broker is only there while tests run.')
    return server.ports.amqp
  }
  return {
    get url() {
      return `amqp://guest:guest@127.0.0.1:${port()}`
    },
    get port() {
      return port()
    },
    memory: (full) => {
      usedBytes = full ? MEMORY_LIMIT_BYTES + 1 : 0
      clock.advance(1000)
    },
  }
}
