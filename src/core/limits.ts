// Every limit of the core, with its reason. Bytes unless a name says otherwise.

/** How much input may arrive after a message before its bytes are copied out of the chunk that they came in. */
export const VIEW_INPUT_BYTES = 4 * 1024 * 1024

/** What an entry and its message cost beside their bytes, about. */
export const ENTRY_OVERHEAD_BYTES = 250

/** What a queue keeps in memory of messages that are on disk, at its head and at its tail. */
export const QUEUE_RESIDENT_BYTES = 2 * 1024 * 1024

/** What a queue keeps in memory of transient messages before it writes the newer of them to disk. */
export const QUEUE_TRANSIENT_BYTES = 32 * 1024 * 1024

/**
 * What a queue that has too many of them writes in one go, and by how much it grows before it writes more. So it has
 * caught up once it has grown by a third of them, and holds nobody up for more than a few milliseconds.
 */
export const QUEUE_SPILL_BYTES = 512 * 1024
export const QUEUE_SPILL_GROWTH_BYTES = 128 * 1024

/**
 * What a queue keeps in memory of messages that are out with consumers. Of more, what is on disk is read again should it
 * come back.
 */
export const QUEUE_LENT_RESIDENT_BYTES = 8 * 1024 * 1024

/** What a queue drops from memory in one go of what is on disk: some milliseconds where messages are small. */
export const QUEUE_PAGE_OUT_BYTES = 2 * 1024 * 1024

/** How many times less a queue keeps when memory is tight. */
export const TIGHT_DIVISOR = 8

/** Below this much at its head a queue reads on, about half as much at a time. */
export const QUEUE_READ_AHEAD_BYTES = 1024 * 1024

/**
 * The same at the most, where consumers have had to wait for what was read: a fast one takes 8 MiB in some 30 ms in which
 * a disk gives nothing.
 */
export const QUEUE_READ_AHEAD_BYTES_MAX = 8 * 1024 * 1024

/**
 * What all queues together keep in memory of messages that are on disk or on their way there: as much as some queues with
 * long backlogs want, so that a process with ten thousand queues stays as small as one with ten.
 */
export const BACKLOGS_STORED_BYTES = 32 * 1024 * 1024

/** The same of transient messages, before the newer of a queue are written to disk. */
export const BACKLOGS_TRANSIENT_BYTES = 128 * 1024 * 1024

/** What a queue that is consumed keeps of that, however many there are: less than half a page would be read twice. */
export const BACKLOG_SHARE_BYTES_MIN = 64 * 1024

/** Growth after which some queues are asked to keep less, and how many at the most: a fraction of a millisecond. */
export const BACKLOGS_SWEEP_BYTES = 256 * 1024
export const BACKLOGS_SWEEP_COUNT = 256

/** Transient messages that wait in one queue before its publishers are read more slowly, if it has consumers at all. */
export const QUEUE_OVERRUN_BYTES = 16 * 1024 * 1024

/** The longest time a publisher is held back for the sake of a queue's consumers, in milliseconds. */
export const OVERRUN_HOLD_MS_MAX = 50

/** Deliveries in each millisecond of a publisher's pause that make it worth having; fewer are not waited for. */
export const PACE_DELIVERIES_MIN = 8

/** What may wait to be written before publishers wait for the disk. Some commits' worth, on a slow disk too. */
export const STORE_PENDING_BYTES_MAX = 3 * 1024 * 1024

/** Ids that a queue remembers of the messages in it: some 200 bytes each. In a longer queue the oldest are forgotten. */
export const DEDUPLICATED_IDS_MAX = 1_000_000

/** Ids that a queue or an exchange can be asked to remember. */
export const CACHE_SIZE_MAX = 10_000_000

/** After which time a dead letter that nobody took is tried again, in milliseconds, and how many of them at once. */
export const DEAD_LETTER_RETRY_MS = 1000
export const DEAD_LETTERS_AT_ONCE = 1000

/** After which time the next of them are tried when all were taken and are on disk, in milliseconds. */
export const DEAD_LETTERS_NEXT_MS = 1

/** What a queue keeps in memory of those that nobody took. */
export const DEAD_LETTERS_RESIDENT_BYTES = 2 * 1024 * 1024

/** What a queue keeps in memory of those that wait before they are tried again, beside their positions and times. */
export const RETRIES_RESIDENT_BYTES = 2 * 1024 * 1024

/** Messages that become ready again in one go. More that are due wait for the next turn: some milliseconds. */
export const RETRIES_AT_ONCE = 10_000

/** Messages that expire in one go. More that are due at the same time wait for the next turn: a few milliseconds each. */
export const EXPIRED_AT_ONCE = 1000

/**
 * Pages of one log that are set aside because the disk does not give them. Where there are more, it is not the pages:
 * the queue waits for the disk. Bounds what comes back into memory at once, too.
 */
export const UNREADABLE_PAGES_MAX = 16

/** How often the same page is read to look for what has expired in it, at the most, in milliseconds. */
export const EXPIRY_READ_MS = 250

/** After how long a page is looked at again that could not be read for what has expired in it, in milliseconds. */
export const EXPIRY_RETRY_MS = 5000

/** Queues and exchanges that go by other policies in one pass of the event loop: a few milliseconds. */
export const GOVERNED_AT_ONCE = 200

/** The longest time that a timer can be set to, in milliseconds. */
export const TIMER_MS_MAX = 2 ** 31 - 1

/** How often memory is looked at, in milliseconds: a fast publisher fills some hundred megabytes in a second. */
export const MEMORY_CHECK_MS = 200

/** How many looks come between two collections of garbage while there is too little memory. */
export const GARBAGE_CHECKS = 25

/** How often the free space of the disk is looked at, in milliseconds. */
export const DISK_CHECK_MS = 2000

/** The share of the memory limit from which on queues keep less in memory. */
export const MEMORY_TIGHT_SHARE = 0.8

/** Messages that a channel may have unacknowledged while memory is tight, whatever its prefetch. */
export const TIGHT_UNACKED_MAX = 2000

/** The length of names and routing keys: AMQP's short strings (AMQP 0-9-1 §4.2.5.3). */
export const SHORT_BYTES_MAX = 255
