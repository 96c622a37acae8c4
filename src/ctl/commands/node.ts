// Commands that change the running node, until it stops.
import { byteSize } from '../../lib/byte-size.ts'
import { CtlError, CtlExit, type ApiClient } from '../client.ts'
import { command, silent, type Commands } from '../command.ts'
import { nodeOf } from './diagnostics.ts'

export const nodeCommands: Commands = {
  set_log_level: command('LEVEL', 'Change the least level that is logged', [1, 1], async ({ api, words: [level] }) => {
    await change(api, 'PUT', ['log-level'], { level })
  }),
  set_vm_memory_high_watermark: command(
    'FRACTION | absolute SIZE',
    'Change from which memory on publishers are blocked; 0 blocks them now',
    [1, 2],
    ({ api, words }) => {
      const [unit = '', size] = words
      return change(
        api,
        'PUT',
        ['limits'],
        unit === 'absolute' ? { memory_absolute: bytes(size) } : { memory_relative: fraction(words) },
      )
    },
  ),
  set_disk_free_limit: command(
    'SIZE | mem_relative FRACTION',
    'Change below which free disk space publishers are blocked',
    [1, 2],
    ({ api, words }) => {
      const [unit = '', ...rest] = words
      if (unit === 'mem_relative') return change(api, 'PUT', ['limits'], { disk_free_relative: fraction(rest) })
      return change(api, 'PUT', ['limits'], { disk_free_absolute: bytes(rest.length === 0 ? unit : undefined) })
    },
  ),
  stop: command('', 'Stop the broker in order', 0, ({ api }) => change(api, 'PUT', ['stop'])),
  shutdown: command('', 'The same', 0, ({ api }) => change(api, 'PUT', ['stop'])),
  suspend_listeners: command('', 'Accept no AMQP connections; those that are open go on', 0, ({ api }) =>
    change(api, 'PUT', ['listeners', 'suspend']),
  ),
  resume_listeners: command('', 'Accept AMQP connections again', 0, ({ api }) =>
    change(api, 'PUT', ['listeners', 'resume']),
  ),
  force_gc: command('', 'Collect garbage; everything else waits for it', 0, ({ api }) =>
    change(api, 'POST', ['collect-garbage']),
  ),
}

/** Changes the node by one of its endpoints. */
async function change(api: ApiClient, method: 'PUT' | 'POST', path: readonly string[], body = {}): Promise<void> {
  await silent(api.call(method, ['nodes', await nodeOf(api), ...path], body))
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
