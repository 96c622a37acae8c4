// What is known of a TLS connection, and of the client behind it.
import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { commonName, distinguishedName } from './distinguished-name.ts'

/** The facts of a connection, in RabbitMQ's words. */
export interface TlsFacts {
  /** `tlsv1.2` or `tlsv1.3`. */
  readonly protocol: string
  /** `any` in TLS 1.3, where it is no part of the cipher suite. */
  readonly keyExchange: string
  readonly cipher: string
  readonly hash: string
  /** The client's certificate; null when it gave none. */
  readonly peer: PeerCertificate | null
}

/** What a certificate of the client says. */
export interface PeerCertificate {
  readonly subject: string
  readonly issuer: string
  readonly validity: string
}

/** Where the name of a user stands in a certificate (RabbitMQ: ssl_cert_login_from). */
export interface CertificateLogin {
  readonly from: 'distinguished_name' | 'common_name' | 'subject_alternative_name'
  /** Of alternative names: the kind, and which of that kind, from 0 on. */
  readonly kind: 'dns' | 'ip' | 'email' | 'uri'
  readonly index: number
}

export const LOGIN_BY_SUBJECT: CertificateLogin = { from: 'distinguished_name', kind: 'dns', index: 0 }

/** Node's labels of alternative names. */
const LABELS = { dns: 'DNS', ip: 'IP Address', email: 'email', uri: 'URI' } as const

/** The facts of a socket whose handshake is done. */
export function tlsFacts(socket: TLSSocket): TlsFacts {
  const suite = suiteOf(socket.getCipher().standardName)
  const certificate = socket.getPeerX509Certificate()
  return {
    protocol: (socket.getProtocol() ?? '').toLowerCase(),
    ...suite,
    peer: certificate === undefined ? null : peerCertificate(certificate),
  }
}

/** The user that a verified client certificate names; null without such a certificate, or such a name. */
export function certificateUser(socket: TLSSocket, login: CertificateLogin): string | null {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined || !socket.authorized) return null
  switch (login.from) {
    case 'distinguished_name':
      return distinguishedName(certificate.subject)
    case 'common_name':
      return commonName(certificate.subject)
    case 'subject_alternative_name':
      return alternativeNames(certificate.subjectAltName ?? '', LABELS[login.kind])[login.index] ?? null
  }
}

/** `TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384` in parts: `ecdhe_rsa`, `aes_256_gcm`, `aead`. */
function suiteOf(standardName: string): Pick<TlsFacts, 'keyExchange' | 'cipher' | 'hash'> {
  const [, keyExchange = 'any', cipher = standardName, hash = ''] =
    /^TLS_(?:(\w+)_WITH_)?(\w+?)(?:_(SHA\d*|MD5))?$/.exec(standardName) ?? []
  const authenticates = /GCM|CCM|POLY1305/.test(cipher)
  return {
    keyExchange: keyExchange.toLowerCase(),
    cipher: cipher.toLowerCase(),
    hash: authenticates ? 'aead' : hash.toLowerCase(),
  }
}

function peerCertificate({ subject, issuer, validFrom, validTo }: X509Certificate): PeerCertificate {
  return {
    subject: distinguishedName(subject),
    issuer: distinguishedName(issuer),
    validity: `${seconds(validFrom)} - ${seconds(validTo)}`,
  }
}

/** A time to the second: `2026-01-31T12:00:00Z`. */
function seconds(time: string): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`
}

/** `DNS:a.example, email:ann@example.com`: what could be taken for a separator stands in JSON's quotes. */
function alternativeNames(text: string, label: string): string[] {
  const names: string[] = []
  for (const [, kind, quoted, plain] of text.matchAll(/(?:^|, )([^:,"]+):(?:("(?:[^"\\]|\\.)*")|([^,]*))/g)) {
    if (kind === label) names.push(quoted === undefined ? (plain ?? '') : (JSON.parse(quoted) as string))
  }
  return names
}
