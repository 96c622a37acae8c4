// The keys of the database: one byte for the kind of record, then what tells it from others of its kind, in binary, so
// that the records of a log lie together and in the order of their positions.
/** The kinds of records. Their numbers are part of the format. */
export const Kind = {
  /** One record: the version of the format. */
  format: 0x01,
  /** One record: the id that the next new log gets. */
  nextLog: 0x02,
  /** One record: above every number that a body has or had. */
  nextBody: 0x03,
  /** Kind of definition, identity → the definition. */
  definition: 0x10,
  /** Log → how far its positions and its deliveries went. */
  log: 0x20,
  /** Log, position of the page's first entry → what is known of a page. */
  index: 0x21,
  /** Log, position → the end of a range whose pages are being deleted. */
  erasure: 0x22,
  /** Log, position → how often the message there was tried. */
  attempts: 0x23,
  /** Log, position of the first entry → entries. */
  fragment: 0x30,
  /** Log, position of the first entry → bytes that were found damaged, kept for whoever can read them. */
  setAside: 0x31,
  /** Delay log → what is known of it. */
  delayLog: 0x40,
  /** Delay log, time at which it is due, order → a message that waits. */
  delayed: 0x41,
  /** The same, for one that was found damaged. */
  delayedAside: 0x42,
  /** Log of ids, order → an id that is remembered. */
  seenId: 0x50,
  /** Number of a body → the body, which several entries have in common. */
  body: 0x32,
  /** Before format 5: number of a body, log, position → nothing: the entry there has this body. */
  bodyReference: 0x33,
  /** Number of a block of bodies → how many entries have each of them. */
  bodyBlock: 0x34,
} as const
/** One kind of record: the first byte of its key. */
export type Kind = (typeof Kind)[keyof typeof Kind]

/** Positions take six bytes: a million messages a second for nine years. */
export const POSITION_MAX = 2 ** 48 - 1

/** Logs from this id on hold what need not survive: they are deleted when the store is opened. */
export const SPILL_FIRST = 0x8000_0000

const LOG_KEY_BYTES = 5
const POSITION_KEY_BYTES = 11
const BODY_KEY_BYTES = 7
const MERGED = Buffer.of(1)

/** The key of a record of which there is one, or the lower bound of all records of a kind. */
export function kindKey(kind: Kind): Buffer {
  return Buffer.of(kind)
}

/** The upper bound of all records of a kind, itself excluded. */
export function kindEnd(kind: Kind): Buffer {
  return Buffer.of(kind + 1)
}

/** The key of the record of this kind that a log has, or the lower bound of all that it has. */
export function logKey(kind: Kind, log: number): Buffer {
  const key = Buffer.allocUnsafe(LOG_KEY_BYTES)
  key[0] = kind
  key.writeUInt32BE(log, 1)
  return key
}

/** The key of a record at a position of a log. */
export function positionKey(kind: Kind, log: number, position: number): Buffer {
  const key = Buffer.allocUnsafe(POSITION_KEY_BYTES)
  key[0] = kind
  key.writeUInt32BE(log, 1)
  key.writeUIntBE(position, LOG_KEY_BYTES, 6)
  return key
}

/**
 * The key of a page whose fragments were merged into one value: behind that of its first fragment, and another. LevelDB
 * (1.20) may find the older of two values of a key when it merged tables while somebody read through a snapshot; so what
 * is looked up is written once.
 */
export function mergedKey(log: number, first: number): Buffer {
  return Buffer.concat([positionKey(Kind.fragment, log, first), MERGED])
}

/** Whether the key of a fragment is that of a merged page. */
export function isMergedKey(key: Buffer): boolean {
  return key.length > POSITION_KEY_BYTES
}

/** The key of a body that several entries have in common. */
export function bodyKey(body: number): Buffer {
  const key = Buffer.allocUnsafe(BODY_KEY_BYTES)
  key[0] = Kind.body
  key.writeUIntBE(body, 1, 6)
  return key
}

/** Bodies that a block has. Part of the format. */
export const BLOCK_BODIES = 64

/** The first number that a body may get. Formats before 5 gave lower ones, of which some are not counted. */
export const FIRST_BODY = 2 ** 32

/** The number of the block that a body is in. */
export function blockOfBody(body: number): number {
  return Math.floor(body / BLOCK_BODIES)
}

/** The key of what is known of the bodies of a block. */
export function bodyBlockKey(block: number): Buffer {
  const key = Buffer.allocUnsafe(BODY_KEY_BYTES)
  key[0] = Kind.bodyBlock
  key.writeUIntBE(block, 1, 6)
  return key
}

/** The block that such a key is of. */
export function blockOfKey(key: Buffer): number {
  return key.readUIntBE(1, 6)
}

/** The log in the key of one of its records. */
export function logOfKey(key: Buffer): number {
  return key.readUInt32BE(1)
}

/** The position in the key of a record that has one. */
export function positionOfKey(key: Buffer): number {
  return key.readUIntBE(LOG_KEY_BYTES, 6)
}
