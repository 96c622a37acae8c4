// AMQP over TLS: who gets in, by which name, and what is said about it.
import { EventEmitter, once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../../src/lib/clock.ts'
import type { Logger } from '../../src/lib/log.ts'
import { LOOK_MS } from '../../src/net/tls/tls-files.ts'
import { startServer, StartError, type Server, type ServerOptions } from '../../src/server.ts'
import { authority, CertificateFolder, makeCertificate, name, type Certificate } from '../support/certificates.ts'
import { RawClient } from '../support/raw-client.ts'

const folder = new CertificateFolder()
const ca = authority('the authority')
const own = makeCertificate({ subject: name(['CN', 'localhost']), dns: ['localhost'], issuer: ca })
const ann = makeCertificate({ subject: name(['O', 'Example'], ['CN', 'ann']), email: ['ann@example.com'], issuer: ca })
const stranger = makeCertificate({ subject: name(['CN', 'ann']), issuer: authority('another authority') })
const late = makeCertificate({ subject: name(['CN', 'ann']), issuer: ca, notAfter: new Date('2001-01-01') })

const files = {
  certificateFile: folder.write('own.pem', own.certificate),
  keyFile: folder.write('own.key', own.key),
  authorityFile: folder.write('ca.pem', ca.certificate),
}
const servers: Server[] = []
const clients: RawClient[] = []

afterEach(async () => {
  for (const client of clients.splice(0)) client.drop()
  for (const server of servers.splice(0)) await server.close()
})
afterAll(() => folder.remove())

/** Lines of the log that somebody waits for. */
class LogBook implements Logger {
  readonly lines: string[] = []
  readonly #written = new EventEmitter()
  readonly debug = (): void => undefined
  readonly info = (_fields: object, message: string): void => this.#write(message)
  readonly warn = (fields: object, message: string): void => this.#write(`${message}: ${JSON.stringify(fields)}`)
  readonly error = this.info

  async find(pattern: RegExp): Promise<string> {
    for (;;) {
      const line = this.lines.find((one) => pattern.test(one))
      if (line !== undefined) return line
      await once(this.#written, 'line')
    }
  }

  #write(line: string): void {
    this.lines.push(line)
    this.#written.emit('line')
  }
}

async function serve(options: ServerOptions): Promise<Server> {
  const server = await startServer({ host: '127.0.0.1', ...options })
  servers.push(server)
  return server
}

function trusting(client?: Certificate): ConnectionOptions {
  return { ca: ca.certificate, ...(client === undefined ? {} : { cert: client.certificate, key: client.key }) }
}

async function dial(server: Server, options: ConnectionOptions = trusting()): Promise<RawClient> {
  const client = await RawClient.dialTls(server.ports.amqps!, options)
  clients.push(client)
  return client
}

/** Waits for the server to end the connection, be it before or after the client takes the handshake for done. */
async function turnedAway(server: Server, options: ConnectionOptions): Promise<void> {
  const socket = connectTls({ port: server.ports.amqps!, host: '127.0.0.1', servername: 'localhost', ...options })
  // Whether it ends in order or by a reset is the operating system's affair.
  socket.on('error', () => undefined)
  socket.resume()
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
}

/** The mechanisms that a client is offered. */
async function offers(client: RawClient): Promise<string> {
  const { mechanisms } = await client.protocolHeader().expect('connection.start')
  return String(mechanisms)
}

describe('a listener with a certificate', () => {
  it('speaks AMQP as the one without', async () => {
    const server = await serve({ tls: files })
    const client = await dial(server)
    await client.handshake()
    const channel = await client.openChannel()
    const queue = await channel.queue('', { exclusive: true })
    await channel.consume(queue, { 'no-ack': true })
    const body = Buffer.alloc(300_000, 'abc')
    for (const sent of ['small', body, 'last']) channel.publish({ 'routing-key': queue }, sent)
    for (const received of ['small', body, 'last']) await channel.expectDeliver({}, received)
    await client.close()
  })

  it('is suspended and resumed, while a connection goes on', async () => {
    const server = await serve({ tls: files, managementHost: '127.0.0.1', managementPort: 0 })
    const { node } = (await api(server, 'GET', '/api/overview')) as { readonly node: string }
    const path = `/api/nodes/${encodeURIComponent(node)}/listeners`
    const early = await dial(server)
    await early.handshake()
    await api(server, 'PUT', `${path}/suspend`)
    await expect(once(connect(server.ports.amqps!, '127.0.0.1'), 'connect')).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    })
    await early.openChannel()
    await api(server, 'PUT', `${path}/resume`)
    await (await dial(server)).handshake()
  })

  it('listens at further addresses, as the one without does, and is suspended there, too', async () => {
    const further = [{ host: '127.0.0.2', port: 0 }]
    const server = await serve({
      alsoListen: [...further, { host: '127.0.0.3', port: 0 }],
      tls: { ...files, alsoListen: further },
      managementHost: '127.0.0.1',
      managementPort: 0,
    })
    const { listeners, node } = (await api(server, 'GET', '/api/overview')) as {
      readonly node: string
      readonly listeners: readonly { readonly protocol: string; readonly ip_address: string; readonly port: number }[]
    }
    expect(listeners.map(({ protocol, ip_address: address }) => [protocol, address])).toEqual([
      ['amqp', '127.0.0.1'],
      ['amqp', '127.0.0.2'],
      ['amqp', '127.0.0.3'],
      ['amqp/ssl', '127.0.0.1'],
      ['amqp/ssl', '127.0.0.2'],
      ['http', '127.0.0.1'],
    ])
    const [plain, tls] = [listeners[2]!.port, listeners[4]!.port]
    const client = await RawClient.dialTls(tls, { ...trusting(), host: '127.0.0.2' })
    clients.push(client)
    await client.handshake()
    const [open] = (await once(connect(plain, '127.0.0.3').end('AMQP\0\0\x09\x01'), 'data')) as [Buffer]
    expect(open[0]).toBe(1)
    const path = `/api/nodes/${encodeURIComponent(node)}/listeners`
    await api(server, 'PUT', `${path}/suspend`)
    await expect(once(connect(plain, '127.0.0.3'), 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await api(server, 'PUT', `${path}/resume`)
    await once(connect(plain, '127.0.0.3').end(), 'close')
  })

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('speaks %s', async (version) => {
    const server = await serve({ tls: files })
    const client = await dial(server, { ...trusting(), minVersion: version, maxVersion: version })
    await client.handshake()
  })

  it.each(['TLSv1', 'TLSv1.1'] as const)('does not speak %s', async (version) => {
    const server = await serve({ tls: files })
    // Level 0, because Node's OpenSSL would not even try otherwise.
    const old = { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' }
    await expect(dial(server, { ...trusting(), ...old })).rejects.toThrow(/version|protocol/i)
  })

  it('speaks the versions that it is told to', async () => {
    const server = await serve({ tls: { ...files, versions: ['tlsv1.3'] } })
    await expect(dial(server, { ...trusting(), maxVersion: 'TLSv1.2' })).rejects.toThrow(/version|protocol/i)
  })

  it('gives a client that says nothing up, and goes on serving', async () => {
    const logger = new LogBook()
    const server = await serve({ tls: files, handshakeTimeoutMs: 100, logger })
    const socket = connect(server.ports.amqps!, '127.0.0.1')
    await once(socket, 'close')
    expect(await logger.find(/refused/)).toContain('handshake timeout')
  })

  it('refuses a client that speaks AMQP without TLS', async () => {
    const logger = new LogBook()
    const server = await serve({ tls: files, logger })
    const client = await RawClient.dial(server.ports.amqps!)
    clients.push(client)
    client.protocolHeader()
    await logger.find(/a TLS connection was refused/)
    expect(await offers(await dial(server))).toBe('PLAIN AMQPLAIN')
  })

  it('reads a key that is encrypted', async () => {
    const { createPrivateKey } = await import('node:crypto')
    const encrypted = createPrivateKey(own.key).export({
      type: 'pkcs8',
      format: 'pem',
      cipher: 'aes-256-cbc',
      passphrase: 'secret',
    })
    const keyFile = folder.write('encrypted.key', encrypted.toString())
    await (await dial(await serve({ tls: { ...files, keyFile, keyPassword: 'secret' } }))).handshake()
    await expect(serve({ tls: { ...files, keyFile } })).rejects.toThrow(
      new StartError(`the key file ${keyFile} is encrypted, and its password is not given`),
    )
    await expect(serve({ tls: { ...files, keyFile, keyPassword: 'wrong' } })).rejects.toThrow(
      new StartError(`the key file ${keyFile} is encrypted, and the password that is given is wrong`),
    )
  })
})

describe('certificates that cannot be used', () => {
  const nothing = folder.write('nothing.pem', 'nothing')
  const missing = folder.path('missing.pem')
  const broken = folder.write('broken.pem', own.certificate.replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA'))
  const strange = folder.write('strange.key', stranger.key)

  it.each([
    [
      'a missing certificate',
      { certificateFile: missing },
      `the certificate file ${missing} cannot be read: it does not exist`,
    ],
    ['a missing key', { keyFile: missing }, `the key file ${missing} cannot be read: it does not exist`],
    [
      'a missing authority',
      { authorityFile: missing },
      `the CA certificate file ${missing} cannot be read: it does not exist`,
    ],
    ['no certificate', { certificateFile: nothing }, `the file ${nothing} holds no certificate in PEM`],
    ['no key', { keyFile: nothing }, `the file ${nothing} holds no private key in PEM`],
    [
      'a damaged certificate',
      { certificateFile: broken },
      `the file ${broken} holds a certificate that cannot be read`,
    ],
    [
      'the key of another',
      { keyFile: strange },
      `the key in ${strange} does not belong to the certificate in ${files.certificateFile}`,
    ],
  ])('keep the broker from starting, in a sentence: %s', async (_what, change, sentence) => {
    await expect(serve({ tls: { ...files, ...change } })).rejects.toThrow(new StartError(sentence))
  })

  it('keep the broker from starting when no cipher is known', async () => {
    await expect(serve({ tls: { ...files, ciphers: 'NONE-SUCH' } })).rejects.toThrow(/^TLS cannot be spoken with /)
  })
})

describe('client certificates', () => {
  it('are not asked for unless that is configured', async () => {
    const server = await serve({ tls: files })
    expect(await offers(await dial(server, trusting(stranger)))).toBe('PLAIN AMQPLAIN')
  })

  it('may be left out when they are optional', async () => {
    const server = await serve({ tls: { ...files, clientCertificates: 'optional' } })
    const client = await dial(server)
    await client.handshake()
  })

  it.each([
    ['of another authority', stranger],
    ['that has expired', late],
  ])('must be valid even when they are optional: one %s', async (_what, certificate) => {
    const logger = new LogBook()
    const server = await serve({ tls: { ...files, clientCertificates: 'optional' }, logger })
    await turnedAway(server, trusting(certificate))
    expect(await logger.find(/refused/)).toContain('certificate is not valid')
  })

  it('cannot be left out when they are required', async () => {
    const logger = new LogBook()
    const server = await serve({ tls: { ...files, clientCertificates: 'required' }, logger })
    await turnedAway(server, trusting())
    expect(await logger.find(/refused/)).toContain('the client gave no certificate')
    await (await dial(server, trusting(ann))).handshake()
  })
})

describe('the mechanism EXTERNAL', () => {
  async function external(server: Server, user: string): Promise<RawClient> {
    await api(server, 'PUT', `/api/users/${encodeURIComponent(user)}`, { password_hash: '', tags: '' })
    await api(server, 'PUT', `/api/permissions/%2F/${encodeURIComponent(user)}`, {
      configure: '.*',
      write: '.*',
      read: '.*',
    })
    const client = await dial(server, trusting(ann))
    expect(await offers(client)).toBe('PLAIN AMQPLAIN EXTERNAL')
    client.startOk({ mechanism: 'EXTERNAL' })
    await client.tune()
    await client.call('connection.open', { 'virtual-host': '/' })
    return client
  }

  it.each([
    ['the whole subject', undefined, 'CN=ann,O=Example'],
    ['the common name', { from: 'common_name', kind: 'dns', index: 0 }, 'ann'],
    ['an alternative name', { from: 'subject_alternative_name', kind: 'email', index: 0 }, 'ann@example.com'],
  ] as const)('logs in as the user that is %s of the certificate', async (_what, login, user) => {
    const tls = { ...files, clientCertificates: 'optional', ...(login === undefined ? {} : { login }) } as const
    const server = await serve({ tls, managementPort: 0, managementHost: '127.0.0.1' })
    await external(server, user)
    const [connection] = (await api(server, 'GET', '/api/connections')) as [Record<string, unknown>]
    expect(connection).toMatchObject({
      user,
      auth_mechanism: 'EXTERNAL',
      ssl: true,
      ssl_protocol: 'tlsv1.3',
      ssl_key_exchange: 'any',
      ssl_cipher: 'aes_256_gcm',
      ssl_hash: 'aead',
      peer_cert_subject: 'CN=ann,O=Example',
      peer_cert_issuer: 'CN=the authority',
      peer_cert_validity: '2000-01-01T00:00:00Z - 2100-01-01T00:00:00Z',
    })
  })

  it('refuses a certificate of somebody who is no user', async () => {
    const server = await serve({ tls: { ...files, clientCertificates: 'required' } })
    const client = await dial(server, trusting(ann))
    await client.protocolHeader().expect('connection.start')
    const close = await client.startOk({ mechanism: 'EXTERNAL' }).expect('connection.close')
    expect(close['reply-code']).toBe(403)
  })

  it('is not offered without a certificate', async () => {
    const server = await serve({ tls: { ...files, clientCertificates: 'optional' } })
    expect(await offers(await dial(server))).toBe('PLAIN AMQPLAIN')
  })
})

describe('changed certificates', () => {
  const certificateFile = folder.path('changing.pem')
  const keyFile = folder.path('changing.key')

  function put(certificate: Certificate): void {
    folder.write('changing.pem', certificate.certificate)
    folder.write('changing.key', certificate.key)
  }

  /** The organisation that the server's certificate names. */
  async function shown(server: Server): Promise<unknown> {
    const socket = connectTls({ port: server.ports.amqps!, host: '127.0.0.1', servername: 'localhost', ...trusting() })
    await once(socket, 'secureConnect')
    const { O } = socket.getPeerCertificate().subject
    socket.destroy()
    return O
  }

  function named(organisation: string): Certificate {
    return makeCertificate({ subject: name(['O', organisation]), dns: ['localhost'], issuer: ca })
  }

  it('are in use for new connections soon after, and those that are open stay', async () => {
    put(named('before'))
    const clock = new ManualClock()
    const logger = new LogBook()
    const server = await serve({ tls: { certificateFile, keyFile }, clock, logger })
    const client = await dial(server)
    await client.handshake()
    expect(await shown(server)).toBe('before')
    put(named('after all'))
    clock.advance(LOOK_MS)
    await logger.find(/changed certificates are in use/)
    expect(await shown(server)).toBe('after all')
    await client.openChannel()
  })

  it('that cannot be used leave those of before', async () => {
    put(named('before'))
    const clock = new ManualClock()
    const logger = new LogBook()
    const server = await serve({ tls: { certificateFile, keyFile }, clock, logger })
    folder.write('changing.pem', 'half a certifi')
    clock.advance(LOOK_MS)
    await logger.find(/cannot be used; those of before stay/)
    expect(await shown(server)).toBe('before')
    put(named('mended'))
    clock.advance(LOOK_MS)
    await logger.find(/changed certificates are in use/)
    expect(await shown(server)).toBe('mended')
  })
})

describe('HTTP over TLS', () => {
  it('serves the API and metrics beside the ports without', async () => {
    const server = await serve({
      tls: files,
      managementHost: '127.0.0.1',
      managementPort: 0,
      prometheusPort: 0,
      managementTls: { ...files, managementPort: 0, prometheusPort: 0 },
    })
    const overview = (await api(server, 'GET', '/api/overview', undefined, 'management-tls')) as Record<string, unknown>
    const listeners = overview['listeners'] as { protocol: string; tls: boolean }[]
    expect(Object.fromEntries(listeners.map(({ protocol, tls }) => [protocol, tls]))).toEqual({
      amqp: false,
      'amqp/ssl': true,
      http: false,
      'http/prometheus': false,
      https: true,
      'https/prometheus': true,
    })
    expect(await request(server, 'GET', '/metrics', undefined, 'prometheus-tls')).toContain('rabbitmq_connections')
  })

  it('may have addresses of its own', async () => {
    const server = await serve({
      managementHost: '127.0.0.1',
      managementPort: 0,
      prometheusPort: 0,
      managementTls: {
        ...files,
        managementHost: 'localhost',
        managementPort: 0,
        prometheusHost: '127.0.0.2',
        prometheusPort: 0,
      },
    })
    const overview = (await api(server, 'GET', '/api/overview')) as Record<string, unknown>
    const listeners = overview['listeners'] as { protocol: string; ip_address: string }[]
    expect(Object.fromEntries(listeners.map((listener) => [listener.protocol, listener.ip_address]))).toMatchObject({
      http: '127.0.0.1',
      'http/prometheus': '127.0.0.1',
      https: 'localhost',
      'https/prometheus': '127.0.0.2',
    })
  })

  it('may be all there is', async () => {
    const server = await serve({
      port: null,
      tls: files,
      managementHost: '127.0.0.1',
      managementTls: { ...files, managementPort: 0, prometheusPort: 0 },
    })
    expect(Object.keys(server.ports)).toEqual(['amqp', 'amqps', 'management-tls', 'prometheus-tls'])
    expect(server.ports.amqp).toBe(0)
    const overview = (await api(server, 'GET', '/api/overview', undefined, 'management-tls')) as Record<string, unknown>
    const listeners = overview['listeners'] as { protocol: string; tls: boolean }[]
    expect(listeners.map(({ protocol, tls }) => [protocol, tls])).toEqual([
      ['amqp/ssl', true],
      ['https', true],
      ['https/prometheus', true],
    ])
  })

  it('says when certificates are about to expire', async () => {
    const clock = new ManualClock(Date.parse('2099-12-01'))
    const server = await serve({ tls: files, managementHost: '127.0.0.1', managementPort: 0, clock })
    expect(await api(server, 'GET', '/api/health/checks/certificate-expiration/1/weeks')).toEqual({ status: 'ok' })
    expect(await api(server, 'GET', '/api/health/checks/certificate-expiration/2/months')).toMatchObject({
      status: 'failed',
      reason: 'Certificates expiring',
      expired: [
        {
          protocol: 'amqp/ssl',
          port: server.ports.amqps,
          certfile: files.certificateFile,
          cacertfile: files.authorityFile,
          certfile_expires_on: ['2100-01-01 0:00:00'],
          cacertfile_expires_on: ['2100-01-01 0:00:00'],
        },
      ],
    })
  })
})

async function api(server: Server, method: string, path: string, body?: unknown, port?: 'management-tls') {
  const text = await request(server, method, path, body, port)
  return text === '' ? null : (JSON.parse(text) as unknown)
}

async function request(
  server: Server,
  method: string,
  path: string,
  body?: unknown,
  port: 'management' | 'management-tls' | 'prometheus-tls' = 'management',
): Promise<string> {
  const { request: send } = port === 'management' ? await import('node:http') : await import('node:https')
  const { text } = await import('node:stream/consumers')
  const sent = send({
    host: '127.0.0.1',
    port: server.ports[port],
    method,
    path,
    ca: ca.certificate,
    servername: 'localhost',
    auth: 'guest:guest',
  })
  sent.end(body === undefined ? undefined : JSON.stringify(body))
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return text(response)
}
