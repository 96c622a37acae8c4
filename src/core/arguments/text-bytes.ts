// The bytes of a text. Core keeps text as front ends decode it: UTF-8, and each octet that is none as U+DC80 to U+DCFF.

const ESCAPED_OCTET = /[\uDC80-\uDCFF]/u
const ESCAPE_BASE = 0xdc00

/** The bytes that a text came from. */
export function textBytes(text: string): Buffer {
  if (!ESCAPED_OCTET.test(text)) return Buffer.from(text, 'utf8')
  const pieces = Array.from(text, (character) => {
    if (!ESCAPED_OCTET.test(character)) return Buffer.from(character, 'utf8')
    return Buffer.of(character.charCodeAt(0) - ESCAPE_BASE)
  })
  return Buffer.concat(pieces)
}
