// How figures are taken and printed: each in a line, beside the bound that it is to keep.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export function title(text: string): void {
  console.log(`\n${text}`)
}

export function say(what: string, figure: string, bound = ''): void {
  console.log([`  ${what}`.padEnd(58), figure.padStart(22), bound && `   bound ${bound}`].join(' ').trimEnd())
}

export const whole = (value: number): string => Math.round(value).toLocaleString('en')
export const ms = (value: number): string => `${whole(value)} ms`
export const mib = (value: number): string => `${whole(value)} MiB`
export const percent = (part: number, total: number): string => `${whole((part * 100) / total)} %`

/** How many times as much one is. */
export const times = (one: number, other: number): string => `${(one / other).toFixed(1)} times`

/** The middle one; of an even number of them the upper of two. */
export function middleOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}

/** A rate from a count and the milliseconds that it took. */
export const perSecond = (count: number, milliseconds: number): string =>
  `${whole((count / milliseconds) * 1000)} a second`

/** Does something and returns the milliseconds that it took. */
export async function timed(work: () => Promise<void>): Promise<number> {
  const begun = performance.now()
  await work()
  return performance.now() - begun
}

/** Does something with a directory that is deleted afterwards. */
export async function withDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'leveret-figures-'))
  try {
    return await work(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
