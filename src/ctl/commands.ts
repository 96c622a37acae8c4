// The commands of `leveret ctl`, with the names and arguments that rabbitmqctl has.
import type { Commands } from './command.ts'
import { definitionCommands } from './commands/definitions.ts'
import { diagnosticCommands } from './commands/diagnostics.ts'
import { messageCommands } from './commands/messages.ts'
import { nodeCommands } from './commands/node.ts'
import { objectCommands } from './commands/objects.ts'
import { policyCommands } from './commands/policies.ts'
import { reportCommands } from './commands/report.ts'
import { stateCommands } from './commands/state.ts'
import { streamCommands } from './commands/streams.ts'
import { userCommands } from './commands/users.ts'
import { vhostCommands } from './commands/vhosts.ts'

/** All of them, by name, in the order of the help. */
export const commands: Commands = {
  ...stateCommands,
  ...diagnosticCommands,
  ...reportCommands,
  ...streamCommands,
  ...nodeCommands,
  ...userCommands,
  ...vhostCommands,
  ...policyCommands,
  ...objectCommands,
  ...messageCommands,
  ...definitionCommands,
}
