// Everything about a broker in one text, for whoever is asked for help.
import { CtlError, CtlExit } from '../client.ts'
import { command, type Command, type Commands, type Context } from '../command.ts'
import { tableText, visibleText } from '../table.ts'
import { diagnosticCommands } from './diagnostics.ts'
import { objectCommands } from './objects.ts'
import { policyCommands } from './policies.ts'
import { stateCommands } from './state.ts'
import { userCommands } from './users.ts'

/** What is told of the node, and of each vhost, in this order. There are no passwords in it: parameters may have some. */
const OF_NODE = ['status', 'cluster_status', 'memory_breakdown', 'listeners', 'list_connections', 'list_channels']
const OF_VHOST = [
  'list_queues',
  'list_exchanges',
  'list_bindings',
  'list_consumers',
  'list_permissions',
  'list_policies',
  'list_operator_policies',
]
const ALL: Commands = {
  ...stateCommands,
  ...diagnosticCommands,
  ...objectCommands,
  ...policyCommands,
  ...userCommands,
}

export const reportCommands: Commands = {
  report: command('', 'Everything about the broker in one text, for whoever is to help', 0, async (context) => {
    const sections: string[] = []
    for (const name of [...OF_NODE, 'environment']) sections.push(await section(name, name, context))
    for (const { name } of await context.api.rows('vhosts')) {
      const vhost = String(name)
      for (const one of OF_VHOST) sections.push(await section(one, `${one} of vhost ${vhost}`, { ...context, vhost }))
    }
    return sections.join('\n')
  }),
}

/** What one command says, below a heading. What may not be asked says so, and the others are asked all the same. */
async function section(name: string, heading: string, context: Context): Promise<string> {
  return `# ${visibleText(heading)}\n${await said(ALL[name]!, context)}`
}

async function said(asked: Command, context: Context): Promise<string> {
  try {
    const outcome = await asked.run({ ...context, words: [], options: {} })
    if (outcome === undefined) return ''
    return typeof outcome === 'string' ? `${outcome.trimEnd()}\n` : tableText(outcome.columns, outcome.rows, true)
  } catch (error) {
    if (!(error instanceof CtlError) || error.code === CtlExit.unavailable) throw error
    return `cannot be told: ${visibleText(error.message)}\n`
  }
}
