// Every limit of the AMQP front end, with its reason. Bytes unless a name says otherwise.

/** No body may be announced larger than this, whatever is configured. RabbitMQ's hard cap. */
export const CONTENT_BYTES_MAX = 536_870_912

/** What a body may have unless configured otherwise. RabbitMQ 4.x's default. */
export const MESSAGE_BYTES_MAX_DEFAULT = 16 * 1024 * 1024

/** Ten years: the longest time to live. RabbitMQ's cap. */
export const EXPIRATION_MS_MAX = 315_360_000_000

/** The payload of a frame before the client has answered connection.tune. RabbitMQ's initial_frame_max. */
export const INITIAL_FRAME_BYTES_MAX = 8192

/** A client may not ask for frames smaller than this (AMQP 0-9-1 §4.2.3; RabbitMQ 4.1 wants 8192, older clients 4096). */
export const FRAME_BYTES_MIN = 4096

/**
 * What may wait for a client before nothing more is read from it. Deliveries stop long before, so this is a client that
 * asks and does not read the answers, or whose answers wait for the disk.
 */
export const UNREAD_BYTES_MAX = 16 * 1024 * 1024

/**
 * After which time such a client is given up that has not read all that it was sent, in milliseconds: nobody could tell
 * whether it is still there, as nothing is read from it. A line of 30 kB a second is fast enough.
 */
export const UNREAD_MS_MAX = 600_000

/** How long a refused or mistaken client waits for its socket to close, in milliseconds. RabbitMQ's silent close. */
export const SILENT_CLOSE_MS = 3000

/** How long a peer that was sent connection.close has to answer it, in milliseconds, unless its heartbeat is shorter. */
export const CLOSE_ANSWER_MS_MAX = 30_000

/**
 * Deliveries of a channel, the newest, of which everything stays in memory until they are settled; and how many more there
 * are before it is looked again which of the older ones need not.
 */
export const UNACKED_KEPT = 512
export const UNACKED_MORE = 512

/** Tags of deliveries that took too long which a channel knows: those that are settled after all are no error. */
export const RECLAIMED_TAGS_MAX = 10_000

/**
 * What the publishes of a connection that wait for tx.commit may take in memory, about: they are nowhere else. Once it is
 * so much, no further one is taken.
 */
export const UNCOMMITTED_BYTES_MAX = 128 * 1024 * 1024

/**
 * The share of the memory limit that those of all connections may take, about: twice of it at the most. It leaves room
 * enough below the limit for memory not to be short on their account alone, when publishers are not read.
 */
export const UNCOMMITTED_MEMORY_SHARE = 0.2

/**
 * The share of the memory limit that bodies of which a part has come may take on all connections, about: three times of it
 * at the most, as long as clients finish what they began. Beyond it those that came last are not read until others are
 * whole, and so never all of them for memory's sake.
 */
export const INCOMPLETE_MEMORY_SHARE = 0.1

/** A client that sends less than so many bytes of its body in so many milliseconds lets others go first who are not read. */
export const INCOMPLETE_IDLE_MS = 1000
export const INCOMPLETE_PROGRESS_BYTES = 16 * 1024

/** Connections that are taken down in one turn when many leave at once: about two milliseconds. */
export const CONNECTIONS_LEAVING_AT_ONCE = 50

/**
 * Routing keys of one message beside its own. Each is routed by itself, through all bindings of an exchange at the worst,
 * and everybody else waits: ten thousand keys took a second for a thousand bindings.
 */
export const COPIES_MAX = 1000
