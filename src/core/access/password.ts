// Password hashes: our own by scrypt, and RabbitMQ's salted SHA-2 for users that come from there.
import { createHash, randomBytes, scrypt, timingSafeEqual, type ScryptOptions } from 'node:crypto'
import { BrokerError } from '../errors.ts'

/** How a hash was made. The names of RabbitMQ's are its own, for they appear in exported definitions. */
export const Hashing = {
  sha256: 'rabbit_password_hashing_sha256',
  sha512: 'rabbit_password_hashing_sha512',
  /** Of definitions that RabbitMQ 3.5 or older wrote. */
  md5: 'rabbit_password_hashing_md5',
  scrypt: 'leveret_password_hashing_scrypt',
} as const

/** A password as it is kept: a hash, and what made it. An empty hash lets nobody in. */
export interface Credential {
  readonly passwordHash: string
  readonly hashing: string
}

/** What a new password has to be like. */
export interface PasswordRule {
  /** Characters. */
  readonly lengthMin: number
  /** A regular expression; the empty one is nothing. */
  readonly pattern: string
}

/** A password as a client sent it; bytes where it need not be text. */
export type Password = string | Uint8Array

// scrypt with N = 2^14, r = 8, p = 1: 16 MiB and some 40 ms for each guess.
const COST_LOG2 = 14
const BLOCK_SIZE = 8
const PARALLEL = 1
// A stored hash names its own parameters, and may have been imported: these bound what it can ask for (128 MiB).
const COST_LOG2_MAX = 17
const BLOCK_SIZE_MAX = 8
const PARALLEL_MAX = 16
const PARAMETER_BYTES = 3
const SALT_BYTES = 16
const KEY_BYTES = 32
const RABBIT_SALT_BYTES = 4

/** The credential of a user who cannot log in by password. */
export const NO_PASSWORD: Credential = { hashing: Hashing.scrypt, passwordHash: '' }

/** The password of the default user where nobody chose one: RabbitMQ's. */
const PUBLIC_PASSWORD = 'guest'

/** A credential that no password fits, and that costs as much as any to find that out. */
export const DECOY: Credential = {
  hashing: Hashing.scrypt,
  passwordHash: Buffer.from([COST_LOG2, BLOCK_SIZE, PARALLEL, ...new Uint8Array(SALT_BYTES + KEY_BYTES)]).toString(
    'base64',
  ),
}

/**
 * Hashes a new password for keeping: base64 of log2 N, r and p (a byte each), 16 bytes of salt and the 32-byte key.
 * The work is done off the event loop.
 */
export async function hashPassword(password: Password): Promise<Credential> {
  const head = Buffer.from([COST_LOG2, BLOCK_SIZE, PARALLEL, ...randomBytes(SALT_BYTES)])
  const key = await deriveKey(head, password)
  return { hashing: Hashing.scrypt, passwordHash: Buffer.concat([head, key]).toString('base64') }
}

/**
 * How the default user's first password is kept. The one that everybody knows is not guarded by a hash that is dear to
 * try, which would only hold each login up: it gets RabbitMQ's. Null: the password is to be hashed as any other.
 */
export function publicCredential(password: string): Credential | null {
  if (password !== PUBLIC_PASSWORD) return null
  return { hashing: Hashing.sha256, passwordHash: hashRabbitPassword(password) }
}

/** Whether the password made the hash, compared in constant time. False for a hash that cannot be read. */
export async function verifyPassword(credential: Credential, password: Password): Promise<boolean> {
  const kept = Buffer.from(credential.passwordHash, 'base64')
  switch (credential.hashing) {
    case Hashing.scrypt:
      return (
        scryptReadable(kept) && sameBytes(kept.subarray(PARAMETER_BYTES + SALT_BYTES), await deriveKey(kept, password))
      )
    case Hashing.sha256:
      return sameBytes(kept, rabbitHash('sha256', kept.subarray(0, RABBIT_SALT_BYTES), password))
    case Hashing.sha512:
      return sameBytes(kept, rabbitHash('sha512', kept.subarray(0, RABBIT_SALT_BYTES), password))
    case Hashing.md5:
      return sameBytes(kept, rabbitHash('md5', kept.subarray(0, RABBIT_SALT_BYTES), password))
    default:
      return false
  }
}

/** Refuses a credential from outside that could never be verified. An empty hash is a user without a password. */
export function checkCredential(credential: Credential): void {
  const { hashing, passwordHash } = credential
  if (!Object.values<string>(Hashing).includes(hashing)) {
    throw new BrokerError('precondition-failed', `unknown password hashing algorithm '${hashing}'`)
  }
  if (passwordHash === '') return
  const kept = Buffer.from(passwordHash, 'base64')
  if (kept.toString('base64').replace(/=+$/, '') !== passwordHash.replace(/=+$/, '')) {
    throw new BrokerError('precondition-failed', 'the password hash is not valid base64')
  }
  if (hashing === Hashing.scrypt && !scryptReadable(kept)) {
    throw new BrokerError('precondition-failed', 'the password hash has parameters out of bounds')
  }
}

function rabbitHash(algorithm: 'sha256' | 'sha512' | 'md5', salt: Buffer, password: Password): Buffer {
  return Buffer.concat([salt, createHash(algorithm).update(salt).update(password).digest()])
}

function scryptReadable(kept: Buffer): boolean {
  const [costLog2 = 0, blockSize = 0, parallel = 0] = kept
  return (
    kept.length === PARAMETER_BYTES + SALT_BYTES + KEY_BYTES &&
    between(costLog2, 1, COST_LOG2_MAX) &&
    between(blockSize, 1, BLOCK_SIZE_MAX) &&
    between(parallel, 1, PARALLEL_MAX)
  )
}

/** Derives the key with the parameters and the salt that `head` starts with. */
function deriveKey(head: Buffer, password: Password): Promise<Buffer> {
  const [costLog2 = 0, blockSize = 0, parallel = 0] = head
  const cost = 2 ** costLog2
  const options: ScryptOptions = {
    N: cost,
    r: blockSize,
    p: parallel,
    maxmem: 256 * cost * blockSize + 1024 * parallel * blockSize,
  }
  const salt = head.subarray(PARAMETER_BYTES, PARAMETER_BYTES + SALT_BYTES)
  return new Promise((resolve, reject) => {
    scrypt(password, salt, KEY_BYTES, options, (error, key) => (error ? reject(error) : resolve(key)))
  })
}

function sameBytes(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

function between(value: number, least: number, most: number): boolean {
  return value >= least && value <= most
}

/** A password's hash as RabbitMQ makes it by default: for files that go there. We keep new passwords by scrypt. */
export function hashRabbitPassword(password: string): string {
  const salt = randomBytes(RABBIT_SALT_BYTES)
  return rabbitHash('sha256', salt, password).toString('base64')
}
