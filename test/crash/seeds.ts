// The seeds that a test of chance runs through. TEST_SEED is one alone; how many they are another variable says, and
// TEST_SEED_FIRST which is the first, for a run of seeds that nobody has seen yet.
import { Random } from './random.ts'

/** So many seeds, or what the environment asks for. */
export function seeds(count: number, variable = 'TEST_SEEDS'): readonly number[] {
  const one = process.env['TEST_SEED']
  if (one !== undefined) return [Number(one)]
  const many = Number(process.env[variable] ?? count)
  const first = Number(process.env['TEST_SEED_FIRST'] ?? 1)
  return Array.from({ length: many }, (_, i) => first + i)
}

/** Runs with the numbers of a seed. What it fails with says which seed that was. */
export async function withSeed(seed: number, run: (random: Random) => void | Promise<void>): Promise<void> {
  try {
    await run(new Random(seed))
  } catch (error) {
    const { message, stack } = error as Error
    throw new Error(`with TEST_SEED=${seed}: ${message}\n${stack}`, { cause: error })
  }
}
