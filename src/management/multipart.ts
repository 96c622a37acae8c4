// A form with a file, as browsers send it (RFC 7578): the little of it that uploading definitions needs.
import { badRequest } from './http-error.ts'

const HEADERS_END = '\r\n\r\n'

/** The part `file`, and what is to be shown afterwards. Throws 400. */
export function uploaded(type: string, body: Buffer): { readonly file: Buffer; readonly redirect: string | undefined } {
  const boundary = /boundary=(?:"([^"]+)"|([^;]+))/.exec(type)
  const marker = boundary?.[1] ?? boundary?.[2]
  if (marker === undefined) throw badRequest('the form has no boundary')
  const parts = partsOf(body, `--${marker}`)
  const file = parts.get('file')
  if (file === undefined) throw badRequest('[{key_missing,file}]')
  return { file, redirect: parts.get('redirect')?.toString('utf8') }
}

function partsOf(body: Buffer, marker: string): ReadonlyMap<string, Buffer> {
  const parts = new Map<string, Buffer>()
  let start = body.indexOf(marker)
  while (start >= 0) {
    const from = start + marker.length
    const end = body.indexOf(`\r\n${marker}`, from)
    if (end < 0) break
    const head = body.indexOf(HEADERS_END, from)
    if (head >= 0 && head < end) {
      const name = /name="([^"]*)"/.exec(body.toString('latin1', from, head))?.[1]
      if (name !== undefined) parts.set(name, body.subarray(head + HEADERS_END.length, end))
    }
    start = end + 2
  }
  return parts
}
