// The store's sizes, with the reason for each. Measured with test/bench/store.ts.

/** Entries in a page. Beyond some hundreds the costs of a page vanish among those of its entries. */
export const PAGE_ENTRIES = 512

/**
 * A page with so many bytes is full; one that has fewer may become larger by its last entry. With 1 KiB a message, pages
 * of 16, 64, 128 and 256 KiB took 2.6, 1.95, 1.7 and 1.7 µs of the main thread a message.
 */
export const PAGE_BYTES = 128 * 1024

/** Positions in a page: bounds its bitmap when most messages are settled before they were ever written. */
export const PAGE_SPAN = 4096

/** Fragments in a page. Keeps index records under one in a hundred when each commit has one message. */
export const PAGE_FRAGMENTS = 128

/** Bytes that are copied in a loop; more are copied by the engine. */
export const COPY_LOOP_BYTES = 64

/** What an entry takes beside its properties and body, about. */
export const ENTRY_BYTES = 16

/** A full page of more fragments than this is merged into one. */
export const FRAGMENTS_UNMERGED = 8

/** Positions that a log's record is ahead of what was stored: one record in so many messages. */
export const NEXT_AHEAD = 4096

/**
 * The same while index records are behind: then nothing is written but fragments, whose keys only grow, so that LevelDB
 * puts its tables into the deeper levels without reading them again.
 */
export const NEXT_AHEAD_BEHIND = 65_536

/** The bytes that a log stores in one batch from which its index records fall behind. */
export const BEHIND_BYTES_MIN = 64 * 1024

/** What may be stored of which index records know nothing, in bytes, pages and logs: it is read at a start. */
export const BEHIND_BYTES_MAX = 64 * 1024 * 1024
export const BEHIND_PAGES_MAX = 1024
export const BEHIND_LOGS_MAX = 256

/**
 * How far the mark of what was delivered is ahead of the deliveries: at least, as long as there are any, so that a
 * consumer that takes one message after the other waits for no commit; and at the most, while they come in masses. What
 * is marked and was not delivered counts as redelivered after a crash.
 */
export const DELIVERED_AHEAD_MIN = 256
export const DELIVERED_AHEAD_MAX = 32768

/** The deliveries of so many batches are marked ahead: of that in flight, the next, and as many again on slow disks. */
export const DELIVERED_AHEAD_BATCHES = 4

/** With each batch for which nobody had to wait the mark comes nearer again, by a part: 1 / 2^n of the distance. */
export const DELIVERED_AHEAD_DECAY_SHIFT = 3

/** How long after the last delivery the mark stays ahead of what is stored, in milliseconds. */
export const DELIVERED_RECENT_MS = 60_000

/** Bodies from this size on are stored once when several logs have them: below it a copy costs less than two records. */
export const SHARED_BODY_BYTES = 4096

/** Numbers of shared bodies that a record is ahead of what was stored: one record in so many bodies. */
export const NEXT_BODY_AHEAD = 1024

/** So many times a page's messages may be tried, until it is no longer kept in memory which they were. */
export const TRIED_KNOWN_MAX = 16

/** Blocks of bodies whose counts are in memory, and bodies of pages that are: a megabyte together. */
export const BODY_BLOCKS_MAX = 512
export const PAGE_BODIES_KNOWN_MAX = 65_536

/** Pages that a discard or a drop deletes in the batch that it belongs to; more are deleted in slices afterwards. */
export const ERASE_AT_ONCE_PAGES = 64

/** Deletions in one slice: about a millisecond of the main thread. */
export const ERASE_SLICE = 500

/**
 * LevelDB is asked to give back the space of so many erased bytes at a time, and of not fewer than these. More at a time
 * cost less, for what lies at the end is written again each time, and take more memory, for LevelDB maps all of it.
 */
export const COMPACT_BYTES = 32 * 1024 * 1024
export const COMPACT_BYTES_MIN = 4 * 1024 * 1024

/** The tables that are kept open meanwhile, the oldest: as many as are deleted then, where messages go as they came. */
export const TABLES_HELD = 24

/**
 * What was written so many MiB ago lies in the deeper levels of LevelDB, which are not compacted before as much again
 * was written. What is younger goes by itself as long as something is written.
 */
export const COMPACT_AGE_MIB = 64

/** Where it is all deleted with nothing behind it, LevelDB is asked also for what is younger: from this age on, and for as much. */
export const COMPACT_AGE_MIB_MIN = 8
export const COMPACT_YOUNG_BYTES_MIN = 16 * 1024 * 1024

/**
 * Logs that are looked for by themselves because somebody waits for them: so many at once, and so many altogether. Where
 * more are waited for it is quicker to go through all of the index: of 10,000 with a few pages each by a second.
 */
export const HASTENED_AT_ONCE = 4
export const HASTENED_MAX = 64

/** How long a store that cannot write waits before it tries again: at first, and at the most. */
export const RETRY_FIRST_MS = 100
export const RETRY_MAX_MS = 5_000

/** What LevelDB is opened with. */
export interface LevelTuning {
  readonly compression?: boolean
  readonly cacheSize?: number
  readonly writeBufferSize?: number
  readonly blockSize?: number
  readonly maxOpenFiles?: number
  readonly maxFileSize?: number
}

/** Batches of more bytes than this, and of more an operation, are not written as chained batches. */
export const CHAINED_BYTES_MAX = 256 * 1024
export const CHAINED_AVERAGE_BYTES_MAX = 1024

/** What an iterator may read ahead in one go of what index records are behind with. */
export const SCANNED_BYTES = 1024 * 1024

/** What an iterator may read ahead in one go: some two thousand index records. LevelDB's binding would read 16 KiB. */
export const ITERATED_BYTES = 64 * 1024

/**
 * Table files are memory-mapped, so those that are open show as resident memory: few and small ones. Write buffers of
 * 4 MiB take some 10 MiB more; what they make faster could not be told from noise.
 */
export const LEVEL_TUNING: Required<LevelTuning> = {
  compression: false,
  cacheSize: 8 * 1024 * 1024,
  writeBufferSize: 2 * 1024 * 1024,
  blockSize: 4096,
  maxOpenFiles: 64,
  maxFileSize: 2 * 1024 * 1024,
}
