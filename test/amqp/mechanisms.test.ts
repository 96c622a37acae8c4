// SASL mechanisms: what responses claim.
import { describe, expect, it } from 'vitest'
import { MECHANISMS, type Claim, type Mechanism, type Peer } from '../../src/amqp/mechanisms.ts'
import { WireError } from '../../src/amqp/wire/wire-error.ts'
import { encodeTableBody, type Table } from '../support/field-values.ts'

const peer: Peer = { address: '127.0.0.1', port: 5555, certificateName: null }

function mechanism(name: string): Mechanism {
  return MECHANISMS.find((each) => each.name === name)!
}

function read(name: string, response: string | Buffer, from = peer): Claim | null {
  return mechanism(name).read(Buffer.from(response as string), from)
}

function amqplain(table: Table): Claim | null {
  return read('AMQPLAIN', encodeTableBody(table))
}

describe('the mechanisms', () => {
  it('are offered in the order in which clients should prefer them, and EXTERNAL where there is a certificate', () => {
    const offered = (from: Peer): string[] => MECHANISMS.filter((each) => each.offered(from)).map(({ name }) => name)
    expect(offered(peer)).toEqual(['PLAIN', 'AMQPLAIN'])
    expect(offered({ ...peer, certificateName: 'CN=me' })).toEqual(['PLAIN', 'AMQPLAIN', 'EXTERNAL'])
  })
})

describe('PLAIN', () => {
  it('is NUL, user, NUL, password', () => {
    expect(read('PLAIN', '\0me\0secret')).toEqual({ user: 'me', password: Buffer.from('secret'), proved: false })
    expect(read('PLAIN', '\0Jürgen\0пароль')).toEqual({
      user: 'Jürgen',
      password: Buffer.from('пароль'),
      proved: false,
    })
  })

  it('takes everything behind the second NUL for the password, whatever bytes they are', () => {
    const password = Buffer.of(0, 0xff, 0, 0x80)
    expect(read('PLAIN', Buffer.concat([Buffer.from('\0me\0'), password]))).toMatchObject({ user: 'me', password })
  })

  it('may claim an empty user and an empty password, which never log in', () => {
    expect(read('PLAIN', '\0\0')).toEqual({ user: '', password: Buffer.alloc(0), proved: false })
  })

  it('keeps the password when the response, a view of the input, is overwritten', () => {
    const response = Buffer.from('\0me\0secret')
    const claim = mechanism('PLAIN').read(response, peer)
    response.fill(0)
    expect(claim).toMatchObject({ user: 'me', password: Buffer.from('secret') })
  })

  it.each([
    ['nothing', ''],
    ['one NUL', '\0'],
    ['no second NUL', '\0me'],
    ['no NULs', 'me:secret'],
    ['somebody else to act as', 'other\0me\0secret'],
    ['a name that is no UTF-8', Buffer.from('\0m\xff\0secret', 'latin1')],
  ])('claims nothing with %s', (_case, response) => {
    expect(read('PLAIN', response)).toBeNull()
  })
})

describe('AMQPLAIN', () => {
  it('is a table without its length', () => {
    const claim = { user: 'me', password: 'secret', proved: false }
    expect(amqplain({ LOGIN: 'me', PASSWORD: 'secret' })).toEqual(claim)
    expect(amqplain({ PASSWORD: 'secret', more: [1, null], LOGIN: 'me' })).toEqual(claim)
  })

  it('may have its strings as bytes', () => {
    const claim = amqplain({ LOGIN: Buffer.from('mé'), PASSWORD: Buffer.from('secret') })
    expect(claim).toEqual({ user: 'mé', password: 'secret', proved: false })
  })

  it.each<[string, Table]>([
    ['nothing', {}],
    ['no password', { LOGIN: 'me' }],
    ['no user', { PASSWORD: 'secret' }],
    ['other names', { login: 'me', password: 'secret' }],
    ['a number for a password', { LOGIN: 'me', PASSWORD: 5 }],
  ])('claims nothing with %s', (_case, table) => {
    expect(amqplain(table)).toBeNull()
  })

  it('is malformed when it is no table', () => {
    expect(() => read('AMQPLAIN', '\0me\0secret')).toThrow(WireError)
  })
})

describe('EXTERNAL', () => {
  it("claims the certificate's name, whatever the response says, and proves it", () => {
    const vouched = { ...peer, certificateName: 'CN=me' }
    expect(read('EXTERNAL', 'somebody', vouched)).toEqual({ user: 'CN=me', proved: true })
  })

  it('claims nothing without a certificate', () => {
    expect(read('EXTERNAL', 'somebody')).toBeNull()
  })
})
