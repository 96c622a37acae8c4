// The same random programs on RabbitMQ and on Leveret, and their transcripts compared. What is meant to differ stands in
// differences.ts. TEST_DIFFERENTIAL_PROGRAMS says how many, TEST_DIFFERENTIAL_SEED from which on.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startServer, type Server } from '../../src/server.ts'
import { RabbitMQ, rabbitmqInstalled } from '../support/rabbitmq.ts'
import { compare, described, differenceOf, type Pair } from './comparison.ts'
import { KNOWN_PROGRAMS } from './known-programs.ts'
import { Peer } from './peer.ts'
import { Runner } from './runner.ts'

const LANES = 6
const DIFFERENCES_MAX = 3
const first = Number(process.env['TEST_DIFFERENTIAL_SEED'] ?? 1)
const count = Number(process.env['TEST_DIFFERENTIAL_PROGRAMS'] ?? 60)
const why = rabbitmqInstalled ? '' : ' (skipped: rabbitmq-server is not installed)'

describe.skipIf(!rabbitmqInstalled)(`beside RabbitMQ${why}`, () => {
  let rabbitmq: RabbitMQ
  let leveret: Server
  const pairs: Pair[] = []

  beforeAll(async () => {
    rabbitmq = await RabbitMQ.start()
    leveret = await startServer({ host: '127.0.0.1', managementHost: '127.0.0.1', managementPort: 0 })
    for (let lane = 0; lane < LANES; lane++) {
      const expected = await Peer.add(rabbitmq.port, rabbitmq.managementPort, `lane-${lane}.0`)
      const actual = await Peer.add(leveret.ports.amqp, leveret.ports.management!, `lane-${lane}.0`)
      pairs.push([new Runner(expected), new Runner(actual)])
    }
  }, 240_000)

  afterAll(async () => {
    for (const runner of pairs.flat()) await runner.close()
    await leveret?.close()
    await rabbitmq?.stop()
  }, 60_000)

  it.each(Object.entries(KNOWN_PROGRAMS))('shows clients the same where %s', async (_shown, program) => {
    const difference = await differenceOf(program, pairs[0]!)
    expect(difference === null ? '' : described(difference)).toBe('')
  })

  it(
    `shows clients the same in ${count} programs from seed ${first} on`,
    async () => {
      const differences: string[] = []
      const seeds = { first, count, differencesMax: DIFFERENCES_MAX, shrink: true }
      await compare(seeds, pairs, (difference) => differences.push(described(difference)))
      expect(differences.join('\n\n')).toBe('')
    },
    60_000 + 2000 * count,
  )
})
