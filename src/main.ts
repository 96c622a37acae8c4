#!/usr/bin/env node
// The program. A plain `leveret start` goes straight to the broker, anything else to the command line.
import { loadConfig } from './config/config.ts'
import { plainFlags } from './config/plain-flags.ts'
import { ConfigError } from './config/setting.ts'
import { Exit, fail } from './exit.ts'

async function main([command, ...words]: readonly string[]): Promise<void> {
  const flags = command === 'start' ? plainFlags(words) : null
  try {
    if (flags === null) {
      const { runCommandLine } = await import('./command-line.ts')
      await runCommandLine(process.argv.slice(2))
    } else {
      const loading = import('./start.ts')
      const config = await loadConfig({ flags, environment: process.env })
      const { start } = await loading
      await start(config)
    }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    fail(error.message, Exit.misused)
  }
}

await main(process.argv.slice(2))
