// The flags of a `leveret start` in which nothing is wrong and nothing is asked for. They are read without the package that
// reads command lines: to load and ask it takes longer than to open the store.
import { parseArgs } from 'node:util'
import { KEYS } from './schema.ts'

const OPTIONS = Object.fromEntries(
  ['config', 'rabbitmq-conf', ...KEYS].map((key) => [key, { type: 'string' as const }]),
)

/** A value in quotes of its own is not taken as it is. */
const QUOTE = /["']/

/** The values by flag; null when there is anything else than known flags with a value each: help, a stray word, a mistake. */
export function plainFlags(words: readonly string[]): Readonly<Record<string, unknown>> | null {
  if (words.some((word) => QUOTE.test(word))) return null
  try {
    return parseArgs({ args: [...words], options: OPTIONS }).values
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code?.startsWith('ERR_PARSE_ARGS_') !== true) throw error
    return null
  }
}
