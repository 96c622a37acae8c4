// The name in a certificate, as text (RFC 4514).

/** OpenSSL's names of attributes that RabbitMQ spells otherwise. */
const SPELLINGS: Readonly<Record<string, string>> = {
  GN: 'GIVENNAME',
  serialNumber: 'SERIALNUMBER',
  initials: 'INITIALS',
  generationQualifier: 'GENERATIONQUALIFIER',
  title: 'TITLE',
  pseudonym: 'PSEUDONYM',
  emailAddress: 'EMAILADDRESS',
  street: 'STREET',
}

interface Attribute {
  readonly type: string
  /** Escaped as RFC 4514 has it, but for what is not ASCII. */
  readonly value: string
}

/**
 * A name as RabbitMQ writes it: `CN=ann,O=Example,C=DE`, the last part of the certificate's first. `lines` is what Node
 * makes of it: one part a line, in the certificate's order.
 */
export function distinguishedName(lines: string): string {
  return relativeNames(lines)
    .toReversed()
    .map((attributes) => attributes.map(({ type, value }) => `${SPELLINGS[type] ?? type}=${ascii(value)}`).join('+'))
    .join(',')
}

/** The common name; several are joined with commas (RabbitMQ). Null when there is none. */
export function commonName(lines: string): string | null {
  const names = relativeNames(lines)
    .flat()
    .filter(({ type }) => type === 'CN')
    .map(({ value }) => unescaped(value))
  return names.length === 0 ? null : names.join(',')
}

/** Line ends and plus signs within values are escaped, so that these are none. */
function relativeNames(lines: string): Attribute[][] {
  return lines.split('\n').map((line) => line.split(' + ').map(attribute))
}

function attribute(text: string): Attribute {
  const equals = text.indexOf('=')
  return { type: text.slice(0, equals), value: text.slice(equals + 1) }
}

/** RabbitMQ escapes the bytes of everything from the tilde on. */
function ascii(value: string): string {
  return value.replace(/[^ -}]/gu, (character) =>
    Array.from(Buffer.from(character), (octet) => `\\${octet.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  )
}

function unescaped(value: string): string {
  const bytes: Buffer[] = []
  for (const [, hexadecimal, escaped, plain] of value.matchAll(/\\([0-9A-F]{2})|\\(.)|([^\\]+)/gsu)) {
    bytes.push(hexadecimal === undefined ? Buffer.from(escaped ?? plain ?? '') : Buffer.from(hexadecimal, 'hex'))
  }
  return Buffer.concat(bytes).toString('utf8')
}
