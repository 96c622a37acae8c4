// Sizes at which a handful of messages has to leave memory and makes several pages, for `vi.mock` of limits and tuning.

/** For src/core/limits.ts. */
export const SMALL_LIMITS = {
  ENTRY_OVERHEAD_BYTES: 10,
  QUEUE_RESIDENT_BYTES: 120,
  QUEUE_LENT_RESIDENT_BYTES: 50,
  QUEUE_READ_AHEAD_BYTES: 100,
  QUEUE_READ_AHEAD_BYTES_MAX: 400,
  BACKLOGS_STORED_BYTES: 200,
  BACKLOGS_SWEEP_BYTES: 30,
}

/** For src/store/level/tuning.ts. */
export const SMALL_PAGES = {
  PAGE_ENTRIES: 5,
  PAGE_BYTES: 300,
  PAGE_SPAN: 14,
  PAGE_FRAGMENTS: 3,
  FRAGMENTS_UNMERGED: 1,
  BEHIND_BYTES_MIN: 120,
  BEHIND_PAGES_MAX: 4,
}
