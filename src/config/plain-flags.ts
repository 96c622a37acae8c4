// The flags of a `leveret start` in which nothing is wrong and nothing is asked for. They are read without the package that
// reads command lines: to load and ask it takes longer than to open the store.
import { parseArgs } from 'node:util'
import { KEYS } from './schema.ts'

/** The flags of `leveret start`: the files with settings, and every setting. */
export const FLAGS: readonly string[] = ['config', 'rabbitmq-conf', ...KEYS]

const OPTIONS = Object.fromEntries(FLAGS.map((flag) => [flag, { type: 'string' as const }]))

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
