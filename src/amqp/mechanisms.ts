// SASL mechanisms: how a client says who it is.
import { isUtf8 } from 'node:buffer'
import type { FieldTable } from './wire/field-table.ts'
import { readTableBody } from './wire/field-table.ts'

/** What a client's response claims. `proved`: the transport vouches for it, no password is needed. */
export type Claim =
  | { readonly user: string; readonly password: string | Buffer; readonly proved: false }
  | { readonly user: string; readonly proved: true }

/** What is known of the peer below AMQP. */
export interface Peer {
  readonly address: string
  readonly port: number
  /** The name in the client's certificate, where TLS asked for one and it was valid. */
  readonly certificateName: string | null
}

/** One mechanism. `read` returns null for a response that is malformed or claims nothing. */
export interface Mechanism {
  readonly name: string
  offered(peer: Peer): boolean
  read(response: Buffer, peer: Peer): Claim | null
}

const NUL = 0

/** RFC 4616, with an empty authorization identity as RabbitMQ wants it. */
const plain: Mechanism = {
  name: 'PLAIN',
  offered: () => true,
  read(response) {
    const userEnd = response.indexOf(NUL, 1)
    if (response[0] !== NUL || userEnd < 0) return null
    const user = response.subarray(1, userEnd)
    if (!isUtf8(user)) return null
    return { user: user.toString('utf8'), password: Buffer.from(response.subarray(userEnd + 1)), proved: false }
  },
}

/** A field table without its length: what PHP sends without asking, and kombu prefers. */
const amqplain: Mechanism = {
  name: 'AMQPLAIN',
  offered: () => true,
  read(response) {
    const table = readTableBody(response, 0, response.length)
    const user = text(table, 'LOGIN')
    const password = text(table, 'PASSWORD')
    return user === null || password === null ? null : { user, password, proved: false }
  },
}

/** The name comes from the client's certificate; offered where there is one. */
const external: Mechanism = {
  name: 'EXTERNAL',
  offered: (peer) => peer.certificateName !== null,
  read: (_response, peer) => (peer.certificateName === null ? null : { user: peer.certificateName, proved: true }),
}

/** All mechanisms, in the order in which they are offered. */
export const MECHANISMS: readonly Mechanism[] = [plain, amqplain, external]

function text(table: FieldTable, key: string): string | null {
  const value = table.get(key)
  if (value?.type === 'longstr') return value.value
  if (value?.type === 'binary') return Buffer.from(value.value).toString('utf8')
  return null
}
