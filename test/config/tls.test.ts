import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/config.ts'
import { ConfigError } from '../../src/config/setting.ts'
import { tlsSettings, type TlsSettings } from '../../src/config/tls.ts'

async function settings(flags: Readonly<Record<string, string>>): Promise<TlsSettings> {
  return tlsSettings((await loadConfig({ flags, environment: {} })).values)
}

const own = { 'tls-certfile': 'own.pem', 'tls-keyfile': 'own.key' }

describe('the settings about TLS', () => {
  it('come to nothing without a certificate', async () => {
    expect(await settings({})).toEqual({})
  })

  it('make one certificate do for AMQP and HTTP', async () => {
    const files = { certificateFile: 'own.pem', keyFile: 'own.key', clientCertificates: 'ignored' }
    const versions = ['tlsv1.2', 'tlsv1.3']
    const login = { from: 'distinguished_name', kind: 'dns', index: 0 }
    expect(await settings(own)).toEqual({
      tls: { ...files, versions, port: 5671, alsoListen: [], login },
      managementTls: { ...files, versions, managementPort: 15_671, prometheusPort: 15_691 },
    })
  })

  it('leave out the ports that are none', async () => {
    const ports = { 'tls-port': 'none', 'management-tls-port': '0', 'prometheus-tls-port': 'none' }
    const { tls, managementTls } = await settings({ ...own, ...ports })
    expect(tls).toBeUndefined()
    expect([managementTls?.managementPort, managementTls?.prometheusPort]).toEqual([0, undefined])
  })

  it('may give HTTP addresses of its own', async () => {
    const hosts = { 'management-tls-host': '127.0.0.2', 'prometheus-tls-host': '127.0.0.3' }
    expect((await settings({ ...own, ...hosts })).managementTls).toMatchObject({
      managementHost: '127.0.0.2',
      prometheusHost: '127.0.0.3',
    })
  })

  it('may give HTTP a certificate of its own', async () => {
    const http = { 'management-tls-certfile': 'http.pem', 'management-tls-keyfile': 'http.key' }
    expect(await settings(http)).toMatchObject({ managementTls: { certificateFile: 'http.pem', keyFile: 'http.key' } })
    expect((await settings(http)).tls).toBeUndefined()
  })

  it('may give HTTP versions and ciphers of its own', async () => {
    const flags = { ...own, 'tls-ciphers': 'A', 'management-tls-versions': 'tlsv1.3', 'management-tls-ciphers': 'B' }
    expect(await settings(flags)).toMatchObject({
      tls: { versions: ['tlsv1.2', 'tlsv1.3'], ciphers: 'A' },
      managementTls: { versions: ['tlsv1.3'], ciphers: 'B' },
    })
    expect((await settings({ ...own, 'tls-ciphers': 'A' })).managementTls).toMatchObject({ ciphers: 'A' })
  })

  it('may name further addresses', async () => {
    const addresses = { 'tls-also-listen': '5673,127.0.0.1:5674,[::1]:5675,::1:5676' }
    expect((await settings({ ...own, ...addresses })).tls?.alsoListen).toEqual([
      { host: null, port: 5673 },
      { host: '127.0.0.1', port: 5674 },
      { host: '::1', port: 5675 },
      { host: '::1', port: 5676 },
    ])
    for (const wrong of ['x', '127.0.0.1', ':5672', '127.0.0.1:70000', '[::1]']) {
      const refused = settings({ ...own, 'also-listen': wrong })
      await expect(refused).rejects.toThrow(/must be a list of ports/)
    }
  })

  it('ask clients of AMQP for certificates, and those of HTTP only when told so', async () => {
    const flags = { ...own, 'tls-cacertfile': 'ca.pem', 'tls-verify': 'verify_peer' }
    expect(await settings(flags)).toMatchObject({
      tls: { clientCertificates: 'optional', authorityFile: 'ca.pem' },
      managementTls: { clientCertificates: 'ignored' },
    })
    expect(await settings({ ...flags, 'tls-fail-if-no-peer-cert': 'true' })).toMatchObject({
      tls: { clientCertificates: 'required' },
    })
  })

  it.each([
    [{ port: 'none' }, 'port is none, and AMQP over TLS is not set up either: no client could connect'],
    [
      { ...own, port: 'none', 'tls-port': 'none' },
      'port is none, and AMQP over TLS is not set up either: no client could connect',
    ],
    [{ 'tls-certfile': 'x' }, 'tls-certfile is set, but not tls-keyfile: a certificate and its key go together'],
    [{ 'tls-keyfile': 'x' }, 'tls-keyfile is set, but not tls-certfile: a certificate and its key go together'],
    [{ 'tls-verify': 'verify_peer' }, 'tls-verify is verify_peer, but there is no tls-certfile'],
    [
      { ...own, 'tls-verify': 'verify_peer' },
      'tls-verify is verify_peer, but there is no tls-cacertfile to verify certificates with',
    ],
    [{ ...own, 'tls-fail-if-no-peer-cert': 'true' }, 'tls-fail-if-no-peer-cert needs tls-verify to be verify_peer'],
    [
      { ...own, 'tls-versions': 'tlsv1.1' },
      'the value "tlsv1.1" of --tls-versions is not right: it must be some of tlsv1.2, tlsv1.3, as a list or separated by commas; did you mean tlsv1.2?',
    ],
  ] satisfies [Record<string, string>, string][])(
    'refuse in a sentence what does not go together: %j',
    async (flags, sentence) => {
      await expect(settings(flags)).rejects.toThrow(new ConfigError(sentence))
    },
  )
})
