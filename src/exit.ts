// How the program ends.

/** Its exit codes. */
export const Exit = { done: 0, failed: 1, misused: 2 } as const

/** Says in one line why the program cannot go on, and ends it. */
export function fail(sentence: string, code: number): never {
  process.stderr.write(`leveret: ${sentence}\n`)
  process.exit(code)
}
