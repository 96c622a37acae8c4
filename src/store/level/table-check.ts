// Looks through LevelDB's table files for what LevelDB cannot bear. It does not compare checksums when it reads, and
// ends the process when keys turn out to be in disorder: one changed byte, and it does so at every start.
//
//     table   blocks of data ‖ further blocks ‖ index block ‖ footer: handles of the last two, padding, magic number
//     block   entries ‖ u32 offset of each restart point ‖ u32 their number ‖ u8 compression ‖ u32 masked CRC-32C
//     entry   varint bytes shared with the key before ‖ varint further bytes ‖ varint bytes of the value ‖ these two
//     key     what the store calls a key ‖ u64 of kind and sequence number
import { readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DamagedRecordError, RecordReader } from './bytes.ts'

const TABLE = /^\d+\.(ldb|sst)$/
const FOOTER_BYTES = 48
const MAGIC = Buffer.from('57fb808b247547db', 'hex')
const TRAILER_BYTES = 5
const TAG_BYTES = 8
const CRC_MASK = 0xa282ead8
const CRC_POLYNOMIAL = 0x82f63b78

/** Databases up to this size are looked through at every start. It takes less than a tenth of a second. */
const ALWAYS_BYTES_MAX = 16 * 1024 * 1024

/** A run that ended sooner than this may have ended because of its tables. */
const SHORT_RUN_MS = 60_000

/** So much of LevelDB's log has a few of its lines. */
const LINES_BYTES = 4096

/** What was found in tables, in a few words each. */
export interface TableFaults {
  /** LevelDB would not bear it. */
  readonly broken: string | null
  /** LevelDB would not notice: values are others, or records are gone. */
  readonly damaged: readonly string[]
}

/**
 * Looks through the tables of a database that is not open: at each start when they are small, and else when it looks as
 * if they ended the last two runs.
 */
export async function checkTables(location: string): Promise<TableFaults> {
  const damaged: string[] = []
  const names = (await readdir(location)).filter((name) => TABLE.test(name))
  if ((await exceed(ALWAYS_BYTES_MAX, location, names)) && !(await endedInMerges(location))) {
    return { broken: null, damaged }
  }
  for (const name of names) {
    const table = await unlessGone(readFile(join(location, name)))
    try {
      if (table !== null) for (const fault of checkTable(table)) damaged.push(`${name}: ${fault}`)
    } catch (error) {
      if (!(error instanceof DamagedRecordError)) throw error
      return { broken: `${name}: ${error.message}`, damaged }
    }
  }
  return { broken: null, damaged }
}

/** Whether files have more bytes than this. A large database has thousands of them, of which few need to be asked. */
async function exceed(bytesMax: number, location: string, names: readonly string[]): Promise<boolean> {
  let bytes = 0
  for (const name of names) {
    bytes += (await unlessGone(stat(join(location, name))))?.size ?? 0
    if (bytes > bytesMax) return true
  }
  return false
}

/** What is read of a file; null when it has gone, because another broker is at work here. */
async function unlessGone<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return null
  }
}

/** Whether the last run was short, and both it and the one before ended while LevelDB merged tables. */
async function endedInMerges(location: string): Promise<boolean> {
  for (const name of ['LOG', 'LOG.old']) {
    const text = (await unlessGone(readFile(join(location, name), 'latin1'))) ?? ''
    if (text.lastIndexOf(' Compacting ') <= text.lastIndexOf(' compacted to: ')) return false
    // A long run writes tens of thousands of lines.
    const [began] = timesIn(text.slice(0, LINES_BYTES))
    const ended = timesIn(text.slice(-LINES_BYTES)).at(-1)
    if (name === 'LOG' && ended! - began! > SHORT_RUN_MS) return false
  }
  return true
}

/** The times in lines of LevelDB's log, in milliseconds since 1970. */
function timesIn(text: string): number[] {
  return Array.from(text.matchAll(/^(\d{4})\/(\d+)\/(\d+)-(\S+)/gm), ([, year, month, day, time]) =>
    Date.parse(`${year}-${month}-${day}T${time}`),
  )
}

/** Throws DamagedRecordError when LevelDB would not bear this table. Returns what it would not notice. */
export function checkTable(table: Buffer): readonly string[] {
  const damaged: string[] = []
  const footer = table.subarray(-FOOTER_BYTES)
  // It was not finished, and nobody will miss it; or the database says so itself.
  if (footer.length < FOOTER_BYTES || !footer.subarray(-MAGIC.length).equals(MAGIC)) return damaged
  const handles = new RecordReader(footer)
  readHandle(handles)
  const index = blockAt(table, handles)
  const blocks: { readonly last: Buffer; readonly handle: Buffer }[] = []
  checkEntries(index, (last, handle) => blocks.push({ last, handle }))
  let before: Buffer = Buffer.alloc(0)
  for (const { last, handle } of blocks) {
    const block = blockAt(table, new RecordReader(handle))
    if (block.checksum === crc32c(block.bytes)) {
      before = last
      continue
    }
    damaged.push(`a block at ${block.offset} has a wrong checksum`)
    let key = before
    checkEntries(block, (each) => {
      if (key.length > 0 && order(key, each) >= 0) disorder()
      key = each
    })
    if (key.length > 0 && order(key, last) > 0) disorder()
    before = last
  }
  return damaged
}

interface Block {
  readonly offset: number
  /** Entries, restart points and the byte for the compression. */
  readonly bytes: Buffer
  readonly checksum: number
}

/** Steps over a handle, the offset and size of a block, and returns both. */
function readHandle(reader: RecordReader): [offset: number, size: number] {
  return [reader.varint(), reader.varint()]
}

function blockAt(table: Buffer, reader: RecordReader): Block {
  const [offset, size] = readHandle(reader)
  const end = offset + size
  if (end + TRAILER_BYTES > table.length) throw new DamagedRecordError('a block lies beyond the end')
  const masked = (table.readUInt32LE(end + 1) - CRC_MASK) >>> 0
  return { offset, bytes: table.subarray(offset, end + 1), checksum: ((masked >>> 17) | (masked << 15)) >>> 0 }
}

/** Goes through the entries of a block, and throws when they are not as LevelDB writes them. */
function checkEntries({ bytes }: Block, entry: (key: Buffer, value: Buffer) => void): void {
  const compressed = bytes.at(-1) !== 0
  const content = bytes.subarray(0, -1)
  // What is compressed LevelDB checks itself when it takes it apart.
  if (compressed) return
  const restarts = content.length < 4 ? 0 : content.readUInt32LE(content.length - 4)
  const end = content.length - 4 * (restarts + 1)
  if (restarts === 0 || end < 0) throw new DamagedRecordError('a block has no entries')
  const reader = new RecordReader(content, 0, end)
  let key: Buffer = Buffer.alloc(0)
  let restart = 0
  while (reader.at < end) {
    const starts = restart < restarts && content.readUInt32LE(end + 4 * restart) === reader.at
    if (starts) restart++
    const shared = reader.varint()
    const further = reader.varint()
    const valueBytes = reader.varint()
    if (shared > key.length || (starts && shared > 0)) disorder()
    const at = reader.skip(further + valueBytes)
    const next = Buffer.concat([key.subarray(0, shared), content.subarray(at, at + further)])
    if (next.length < TAG_BYTES || next.at(-TAG_BYTES)! > 1) throw new DamagedRecordError('a key is not one')
    if (key.length > 0 && order(key, next) >= 0) disorder()
    key = next
    entry(key, content.subarray(at + further, at + further + valueBytes))
  }
  if (restart < restarts) throw new DamagedRecordError('a block has entries that cannot be reached')
}

function disorder(): never {
  throw new DamagedRecordError('its keys are in disorder')
}

/** LevelDB's order: by key, and the newest of a key first. */
function order(one: Buffer, other: Buffer): number {
  const keys = one.compare(other, 0, other.length - TAG_BYTES, 0, one.length - TAG_BYTES)
  if (keys !== 0) return keys
  const [first, second] = [one, other].map((key) => key.readBigUInt64LE(key.length - TAG_BYTES))
  return first === second ? 0 : first! > second! ? -1 : 1
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ CRC_POLYNOMIAL : crc >>> 1
  return crc >>> 0
})

function crc32c(bytes: Buffer): number {
  let crc = 0xffffffff
  for (let i = 0; i < bytes.length; i++) crc = CRC_TABLE[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8)
  return (crc ^ 0xffffffff) >>> 0
}
