// Runs many programs, in portions, outside of the test suite:
//   node --import tsx test/differential/run.ts --programs 20000 --seed 1
// --lanes says how many run at a time, --shrink makes what differs smaller. Prints how far it is after every portion, each difference as it is found, and at
// the end how many programs differ and their seeds. Ends with 1 when there are any.
import { parseArgs } from 'node:util'
import { rabbitmqInstalled } from '../support/rabbitmq.ts'
import { Brokers } from './brokers.ts'
import { compare, described } from './comparison.ts'

const PORTION = 500

const { values } = parseArgs({
  options: {
    programs: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    lanes: { type: 'string', default: '8' },
    shrink: { type: 'boolean', default: false },
  },
})
const first = Number(values.seed)
const end = first + Number(values.programs)

const say = (line: string): void => void process.stdout.write(`${line}\n`)

// RabbitMQ goes when the process does, which a signal alone does not tell it.
for (const [signal, status] of [['SIGINT', 130] as const, ['SIGTERM', 143] as const]) {
  process.once(signal, () => process.exit(status))
}

if (!rabbitmqInstalled) throw new Error('rabbitmq-server is not installed')
const brokers = await Brokers.start(Number(values.lanes))
const differing: number[] = []
const meant: number[] = []
try {
  const started = performance.now()
  for (let from = first; from < end; from += PORTION) {
    const count = Math.min(PORTION, end - from)
    await compare(
      { first: from, count, differencesMax: Infinity, shrink: values.shrink },
      brokers.pairs,
      (difference) => {
        if (difference.meant) {
          meant.push(difference.program.seed)
          return
        }
        differing.push(difference.program.seed)
        say(`${described(difference)}\n`)
      },
    )
    const seconds = (performance.now() - started) / 1000
    const done = from + count - first
    const rate = (done / seconds).toFixed(1)
    say(`${done} programs in ${seconds.toFixed(0)} s, ${rate} a second; ${differing.length} differ`)
  }
  const seeds = (those: readonly number[]): string => those.toSorted((a, b) => a - b).join(' ') || 'none'
  say(`of ${end - first} programs from seed ${first} on, ${differing.length} differ: ${seeds(differing)}`)
  say(`${meant.length} more are meant to, by what they do: ${seeds(meant)}`)
} finally {
  await brokers.stop()
}
process.exitCode = differing.length > 0 ? 1 : 0
