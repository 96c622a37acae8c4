import { X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { commonName, distinguishedName } from '../../../src/net/tls/distinguished-name.ts'
import { makeCertificate, name, type CertificateTerms } from '../../support/certificates.ts'

function subject(parts: CertificateTerms['subject']): string {
  return new X509Certificate(makeCertificate({ subject: parts }).certificate).subject
}

describe('the name in a certificate', () => {
  it('is written with its last part first', () => {
    expect(distinguishedName(subject(name(['C', 'DE'], ['O', 'Example'], ['CN', 'ann'])))).toBe('CN=ann,O=Example,C=DE')
  })

  it.each([
    ['a, b', String.raw`CN=a\, b`],
    ['a + b=c', String.raw`CN=a \+ b=c`],
    ['"a" <b>; \\', String.raw`CN=\"a\" \<b\>\; \\`],
    [' a ', String.raw`CN=\ a\ `],
    ['#a', String.raw`CN=\#a`],
    ['a\nCN=root', String.raw`CN=a\0ACN=root`],
    ['é~', String.raw`CN=\C3\A9\7E`],
  ])('escapes %j as RFC 4514 has it', (text, expected) => {
    const lines = subject(name(['CN', text]))
    expect(distinguishedName(lines)).toBe(expected)
    expect(commonName(lines)).toBe(text)
  })

  it('keeps attributes together that are one part', () => {
    const parts: CertificateTerms['subject'] = [
      [['C', 'DE']],
      [
        ['CN', 'ann'],
        ['OU', 'x'],
      ],
    ]
    expect(distinguishedName(subject(parts)).split(',')).toEqual([
      expect.stringMatching(/^(CN=ann\+OU=x|OU=x\+CN=ann)$/),
      'C=DE',
    ])
  })

  it('spells attributes as RabbitMQ does', () => {
    expect(distinguishedName(subject(name(['GN', 'Ann'])))).toBe('GIVENNAME=Ann')
  })
})

describe('the common name', () => {
  it('is joined with commas when there are several', () => {
    expect(commonName(subject(name(['CN', 'ann'], ['CN', 'bob'])))).toBe('ann,bob')
  })

  it('is null when there is none', () => {
    expect(commonName(subject(name(['O', 'Example'])))).toBeNull()
  })
})
