// The same random programs on RabbitMQ and on Leveret, and their transcripts compared. What is meant to differ stands in
// differences.ts. TEST_DIFFERENTIAL_PROGRAMS says how many, TEST_DIFFERENTIAL_SEED from which on.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rabbitmqInstalled } from '../support/rabbitmq.ts'
import { Brokers } from './brokers.ts'
import { compare, described, differenceOf } from './comparison.ts'
import { KNOWN_PROGRAMS } from './known-programs.ts'

const LANES = 6
const DIFFERENCES_MAX = 3
const first = Number(process.env['TEST_DIFFERENTIAL_SEED'] ?? 1)
const count = Number(process.env['TEST_DIFFERENTIAL_PROGRAMS'] ?? 60)
const why = rabbitmqInstalled ? '' : ' (skipped: rabbitmq-server is not installed)'

describe.skipIf(!rabbitmqInstalled)(`beside RabbitMQ${why}`, () => {
  let brokers: Brokers

  beforeAll(async () => {
    brokers = await Brokers.start(LANES)
  }, 240_000)

  afterAll(() => brokers?.stop(), 60_000)

  it.each(Object.entries(KNOWN_PROGRAMS))('shows clients the same where %s', async (_shown, program) => {
    const difference = await differenceOf(program, brokers.pairs[0]!)
    expect(difference === null ? '' : described(difference)).toBe('')
  })

  it(
    `shows clients the same in ${count} programs from seed ${first} on`,
    async () => {
      const differences: string[] = []
      const seeds = { first, count, differencesMax: DIFFERENCES_MAX, shrink: true }
      await compare(seeds, brokers.pairs, (difference) => {
        if (!difference.meant) differences.push(described(difference))
      })
      expect(differences.join('\n\n')).toBe('')
    },
    60_000 + 2000 * count,
  )
})
