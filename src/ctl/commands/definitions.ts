// Commands that write definitions to a file and bring them back.
import { readFile, writeFile } from 'node:fs/promises'
import { CtlError, CtlExit } from '../client.ts'
import { command, type Commands } from '../command.ts'

export const definitionCommands: Commands = {
  export_definitions: command(
    'FILE',
    'Write all definitions to a file, or with - to standard output',
    [1, 1],
    async (context) => {
      const [file = '-'] = context.words
      const text = `${JSON.stringify(await context.api.call('GET', ['definitions']), null, 2)}\n`
      if (file === '-') return text
      await writeFile(file, text)
    },
  ),
  import_definitions: command(
    'FILE',
    'Bring definitions in from a file',
    [1, 1],
    async ({ api, words: [file = ''] }) => {
      await api.call('POST', ['definitions'], await definitionsIn(file))
    },
  ),
}

async function definitionsIn(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as unknown
  } catch (error) {
    if (error instanceof SyntaxError) throw new CtlError(CtlExit.data, `${file} is not JSON: ${error.message}`)
    throw new CtlError(CtlExit.data, `${file} cannot be read: ${(error as Error).message}`, { cause: error })
  }
}
