// Commands that change the running node, until it stops.
import { byteSize } from '../../lib/byte-size.ts'
import { CtlError, CtlExit } from '../client.ts'
import { command, silent, type Commands, type Context } from '../command.ts'
import { nodeOf } from './diagnostics.ts'

export const nodeCommands: Commands = {
  set_log_level: command('LEVEL', 'Change the least level that is logged', [1, 1], async ({ api, words: [level] }) => {
    await silent(api.call('PUT', ['nodes', await nodeOf(api), 'log-level'], { level }))
  }),
  set_vm_memory_high_watermark: command(
    'FRACTION | absolute SIZE',
    'Change from which memory on publishers are blocked; 0 blocks them now',
    [1, 2],
    ({ api, words }) => {
      const [unit = '', size] = words
      return limit(api, unit === 'absolute' ? { memory_absolute: bytes(size) } : { memory_relative: fraction(words) })
    },
  ),
  set_disk_free_limit: command(
    'SIZE | mem_relative FRACTION',
    'Change below which free disk space publishers are blocked',
    [1, 2],
    ({ api, words }) => {
      const [unit = '', ...rest] = words
      if (unit === 'mem_relative') return limit(api, { disk_free_relative: fraction(rest) })
      return limit(api, { disk_free_absolute: bytes(rest.length === 0 ? unit : undefined) })
    },
  ),
  stop: command('', 'Stop the broker in order', 0, ({ api }) => stop(api)),
  shutdown: command('', 'The same', 0, ({ api }) => stop(api)),
  suspend_listeners: command('', 'Accept no AMQP connections; those that are open go on', 0, ({ api }) =>
    listeners(api, 'suspend'),
  ),
  resume_listeners: command('', 'Accept AMQP connections again', 0, ({ api }) => listeners(api, 'resume')),
  force_gc: command('', 'Collect garbage; everything else waits for it', 0, async ({ api }) => {
    await silent(api.call('POST', ['nodes', await nodeOf(api), 'collect-garbage'], {}))
  }),
}

async function stop(api: Context['api']): Promise<void> {
  await silent(api.call('PUT', ['nodes', await nodeOf(api), 'stop'], {}))
}

async function listeners(api: Context['api'], what: 'suspend' | 'resume'): Promise<void> {
  await silent(api.call('PUT', ['nodes', await nodeOf(api), 'listeners', what], {}))
}

async function limit(api: Context['api'], limits: Readonly<Record<string, number>>): Promise<void> {
  await silent(api.call('PUT', ['nodes', await nodeOf(api), 'limits'], limits))
}

/** The only one of the words, as a number. Throws CtlError. */
function fraction(words: readonly string[]): number {
  const [word = ''] = words
  if (words.length !== 1 || !/^\d+(\.\d+)?$/.test(word)) {
    throw new CtlError(CtlExit.usage, `a fraction such as 0.4 is expected, not ${JSON.stringify(words.join(' '))}`)
  }
  return Number(word)
}

/** A word as a size. Throws CtlError. */
function bytes(word: string | undefined): number {
  const size = word === undefined ? null : byteSize(word)
  if (size === null) throw new CtlError(CtlExit.usage, 'a size such as 2GB is expected')
  return size
}
