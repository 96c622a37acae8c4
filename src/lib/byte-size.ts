// Sizes as people write them.

const MULTIPLES: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['k', 2 ** 10],
  ['kib', 2 ** 10],
  ['kb', 1e3],
  ['m', 2 ** 20],
  ['mib', 2 ** 20],
  ['mb', 1e6],
  ['g', 2 ** 30],
  ['gib', 2 ** 30],
  ['gb', 1e9],
])

/** The bytes of a size such as `2GB`, `512MiB` or `1000`, with RabbitMQ's units; null for what is none. */
export function byteSize(text: string): number | null {
  const [, digits, unit = ''] = /^(\d+)\s*([a-z]*)$/i.exec(text) ?? []
  const multiple = MULTIPLES.get(unit.toLowerCase())
  return digits === undefined || multiple === undefined ? null : Number(digits) * multiple
}
