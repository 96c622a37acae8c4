// Makes X.509 certificates for tests, with nothing but Node: a DER writer, and what RFC 5280 puts together with it.
import { createPrivateKey, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** One part of a name: an attribute, or several that belong together. */
type NamePart = readonly (readonly [type: keyof typeof ATTRIBUTES, value: string])[]

/** What a certificate is to say. */
export interface CertificateTerms {
  /** `[['CN', 'ann']]`, or parts with several attributes each. */
  readonly subject: readonly NamePart[]
  /** Absent: it signs itself. */
  readonly issuer?: Certificate
  readonly authority?: boolean
  readonly dns?: readonly string[]
  readonly email?: readonly string[]
  readonly notBefore?: Date
  readonly notAfter?: Date
}

export interface Certificate {
  readonly certificate: string
  readonly key: string
  readonly subject: readonly NamePart[]
}

const ATTRIBUTES = { CN: '2.5.4.3', O: '2.5.4.10', OU: '2.5.4.11', C: '2.5.4.6', GN: '2.5.4.42' } as const

/** A name with one attribute a part. */
export function name(...attributes: NamePart): readonly NamePart[] {
  return attributes.map((attribute) => [attribute])
}

/** An authority of this name. */
export function authority(commonName: string): Certificate {
  return makeCertificate({ subject: name(['CN', commonName]), authority: true })
}

/** Makes a key and a certificate for it. */
export function makeCertificate(terms: CertificateTerms): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signer = terms.issuer === undefined ? privateKey : createPrivateKey(terms.issuer.key)
  const statement = sequence(
    tagged(0, integer(Buffer.of(2))),
    integer(randomBytes(8)),
    ECDSA_SHA256,
    encodeName(terms.issuer?.subject ?? terms.subject),
    sequence(time(terms.notBefore ?? new Date('2000-01-01')), time(terms.notAfter ?? new Date('2100-01-01'))),
    encodeName(terms.subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(3, sequence(...extensions(terms))),
  )
  const bytes = sequence(statement, ECDSA_SHA256, bits(sign('sha256', statement, signer)))
  return { certificate: pem(bytes), key: pkcs8(privateKey), subject: terms.subject }
}

/** A directory of PEM files for the tests of a file. */
export class CertificateFolder {
  readonly #path = mkdtempSync(join(tmpdir(), 'leveret-tls-'))

  /** Writes a file and returns its path. */
  write(file: string, content: string): string {
    const path = this.path(file)
    writeFileSync(path, content)
    return path
  }

  path(file: string): string {
    return join(this.#path, file)
  }

  remove(): void {
    rmSync(this.#path, { recursive: true, force: true })
  }
}

function extensions({ authority: isAuthority = false, dns = [], email = [] }: CertificateTerms): Buffer[] {
  const constraints = isAuthority ? sequence(der(0x01, Buffer.of(0xff))) : sequence()
  const basic = sequence(identifier('2.5.29.19'), der(0x04, constraints))
  const names = [
    ...email.map((value) => der(0x81, Buffer.from(value))),
    ...dns.map((value) => der(0x82, Buffer.from(value))),
  ]
  return names.length === 0 ? [basic] : [basic, sequence(identifier('2.5.29.17'), der(0x04, sequence(...names)))]
}

function encodeName(parts: readonly NamePart[]): Buffer {
  return sequence(
    ...parts.map((part) =>
      der(0x31, ...part.map(([type, value]) => sequence(identifier(ATTRIBUTES[type]), der(0x0c, Buffer.from(value))))),
    ),
  )
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

function pkcs8(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString()
}

// --- DER (X.690) ---

function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents)
  const { length } = content
  const octets: number[] = []
  for (let rest = length; rest > 0; rest >>>= 8) octets.unshift(rest & 0xff)
  const header = length < 0x80 ? [length] : [0x80 | octets.length, ...octets]
  return Buffer.concat([Buffer.of(tag, ...header), content])
}

function sequence(...contents: readonly Buffer[]): Buffer {
  return der(0x30, ...contents)
}

function tagged(number: number, content: Buffer): Buffer {
  return der(0xa0 | number, content)
}

/** A positive integer: without a leading zero, unless it would be negative. */
function integer(bytes: Buffer): Buffer {
  return der(0x02, Buffer.of(bytes[0]! & 0x7f || 1), bytes.subarray(1))
}

function bits(bytes: Buffer): Buffer {
  return der(0x03, Buffer.of(0), bytes)
}

/** GeneralizedTime for years from 2050 on, UTCTime before (RFC 5280 §4.1.2.5). */
function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/\D/g, '').slice(0, 14)
  return date.getUTCFullYear() >= 2050
    ? der(0x18, Buffer.from(`${digits}Z`))
    : der(0x17, Buffer.from(`${digits.slice(2)}Z`))
}

function identifier(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
  const octets = [first * 40 + second]
  for (const arc of rest) {
    const groups = [arc & 0x7f]
    for (let more = arc >>> 7; more > 0; more >>>= 7) groups.unshift(0x80 | (more & 0x7f))
    octets.push(...groups)
  }
  return der(0x06, Buffer.from(octets))
}

const ECDSA_SHA256 = sequence(identifier('1.2.840.10045.4.3.2'))
