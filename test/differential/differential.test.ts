// The same random programs on RabbitMQ and on Leveret, and their transcripts compared. What is meant to differ stands in
// differences.ts. TEST_DIFFERENTIAL_PROGRAMS says how many, TEST_DIFFERENTIAL_SEED from which on.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startServer, type Server } from '../../src/server.ts'
import type { Peer } from './client.ts'
import { described, firstDifference } from './comparison.ts'
import { RabbitMQ, rabbitmqInstalled } from '../support/rabbitmq.ts'

const LANES = 4
const first = Number(process.env['TEST_DIFFERENTIAL_SEED'] ?? 1)
const count = Number(process.env['TEST_DIFFERENTIAL_PROGRAMS'] ?? 60)
const why = rabbitmqInstalled ? '' : ' (skipped: rabbitmq-server is not installed)'

describe.skipIf(!rabbitmqInstalled)(`beside RabbitMQ${why}`, () => {
  let rabbitmq: RabbitMQ
  let leveret: Server
  const pairs: (readonly [Peer, Peer])[] = []

  beforeAll(async () => {
    rabbitmq = await RabbitMQ.start()
    leveret = await startServer({ host: '127.0.0.1', managementHost: '127.0.0.1', managementPort: 0 })
    for (let lane = 0; lane < LANES; lane++) {
      const vhost = `lane-${lane}`
      await addVhost(rabbitmq.managementPort, vhost)
      await addVhost(leveret.ports.management!, vhost)
      pairs.push([
        { port: rabbitmq.port, vhost },
        { port: leveret.ports.amqp, vhost },
      ])
    }
  }, 240_000)

  afterAll(async () => {
    await leveret?.close()
    await rabbitmq?.stop()
  }, 60_000)

  it(
    `shows clients the same in ${count} programs from seed ${first} on`,
    async () => {
      const difference = await firstDifference({ first, count }, pairs)
      expect(difference === null ? '' : described(difference)).toBe('')
    },
    60_000 + 2000 * count,
  )
})

/** Adds a vhost in which guest may do everything. */
async function addVhost(managementPort: number, vhost: string): Promise<void> {
  const headers = { authorization: `Basic ${btoa('guest:guest')}`, 'content-type': 'application/json' }
  const rights = JSON.stringify({ configure: '.*', write: '.*', read: '.*' })
  for (const [path, body] of [
    [`vhosts/${vhost}`, '{}'],
    [`permissions/${vhost}/guest`, rights],
  ]) {
    const url = `http://127.0.0.1:${managementPort}/api/${path}`
    const response = await fetch(url, { method: 'PUT', headers, body: body! })
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  }
}
