// Queues against a plain model, with a real broker and its real store on a disk that forgets: publish, get, consume,
// acknowledge and requeue out of order, purge, delete, restarts and crashes at any moment. Nothing waits for real time.
import fc from 'fast-check'
import { describe, it, vi } from 'vitest'
import { commands } from './model/commands.ts'
import { anyRules, anyWindow } from './model/rules.ts'
import { World } from './model/world.ts'

/** How many programs are run, and the seed of a failure that is to be seen again. */
const { TEST_MODEL_RUNS = '300', TEST_MODEL_SEED } = process.env

// Limits at which a handful of messages has a head, a gap and a tail, and several pages.
vi.mock('../../../src/core/limits.ts', async (original) => ({
  ...(await original<object>()),
  ...(await import('../../support/small-sizes.ts')).SMALL_LIMITS,
  QUEUE_TRANSIENT_BYTES: 300,
  QUEUE_SPILL_BYTES: 60,
  QUEUE_SPILL_GROWTH_BYTES: 20,
  QUEUE_PAGE_OUT_BYTES: 80,
  QUEUE_READ_AHEAD_BYTES: 500,
  QUEUE_READ_AHEAD_BYTES_MAX: 2000,
  BACKLOGS_TRANSIENT_BYTES: 350,
  BACKLOG_SHARE_BYTES_MIN: 40,
  BACKLOGS_SWEEP_COUNT: 2,
}))
vi.mock('../../../src/store/level/tuning.ts', async (original) => ({
  ...(await original<object>()),
  ...(await import('../../support/small-sizes.ts')).SMALL_PAGES,
  NEXT_AHEAD: 6,
  NEXT_AHEAD_BEHIND: 20,
  BEHIND_LOGS_MAX: 2,
  DELIVERED_AHEAD_MIN: 2,
  DELIVERED_AHEAD_MAX: 8,
  SHARED_BODY_BYTES: 30,
  RELEASE_SLICE: 3,
  ERASE_AT_ONCE_PAGES: 1,
  ERASE_SLICE: 3,
}))

/**
 * The same programs in every run, so that a change is judged by what it changes and not by chance; others by hand, with
 * TEST_MODEL_SEED. What fails prints its seed.
 */
const SEED_DEFAULT = 11

describe('queues', () => {
  it(
    'lose nothing, invent nothing and keep their order, whatever happens and whenever the broker ends',
    { timeout: 60_000 + Number(TEST_MODEL_RUNS) * 400 },
    async () => {
      const seed = Number(TEST_MODEL_SEED ?? SEED_DEFAULT)
      await fc.assert(
        fc.asyncProperty(anyRules, anyWindow, commands(100), async (rules, window, program) => {
          const world = await World.start(rules, window)
          await fc.asyncModelRun(() => ({ model: {}, real: world }), program)
          await world.finish()
        }),
        { numRuns: Number(TEST_MODEL_RUNS), seed },
      )
    },
  )
})
