// Bytes as RabbitMQ shows them in its texts, which are made by Erlang's formats.

const ESCAPES: ReadonlyMap<number, string> = new Map([
  [0x08, '\\b'],
  [0x09, '\\t'],
  [0x0a, '\\n'],
  [0x0b, '\\v'],
  [0x0c, '\\f'],
  [0x0d, '\\r'],
  [0x1b, '\\e'],
  [0x22, '\\"'],
  [0x5c, '\\\\'],
])

/** Bytes as the format ~w shows them: always numbers. */
export function binaryNumbers(bytes: Uint8Array): string {
  return `<<${bytes.join(',')}>>`
}

/** Bytes as the format ~p shows them: as a string when all of them can be printed. */
export function binaryTerm(bytes: Uint8Array): string {
  if (bytes.length === 0 || !bytes.every(printable)) return binaryNumbers(bytes)
  const characters = Array.from(bytes, (byte) => ESCAPES.get(byte) ?? String.fromCharCode(byte))
  return `<<"${characters.join('')}">>`
}

function printable(byte: number): boolean {
  return (byte >= 0x20 && byte <= 0x7e) || ESCAPES.has(byte)
}
