// A broker within this process that listens with TLS, and the certificates that its clients need.
import { afterAll, beforeAll } from 'vitest'
import { startServer, type Server } from '../../src/server.ts'
import { authority, CertificateFolder, makeCertificate, name } from '../../test/support/certificates.ts'

/** Where it listens, and the paths of the files of a client that is user guest by its certificate. */
export interface SecureBroker {
  readonly port: number
  readonly authorityFile: string
  readonly certificateFile: string
  readonly keyFile: string
}

/** One such broker for all tests of the block that calls this. Its certificate is that of localhost. */
export function useSecureBroker(): SecureBroker {
  const folder = new CertificateFolder()
  const ca = authority('the authority')
  const own = makeCertificate({ subject: name(['CN', 'localhost']), dns: ['localhost'], issuer: ca })
  const guest = makeCertificate({ subject: name(['CN', 'guest']), issuer: ca })
  const authorityFile = folder.write('ca.pem', ca.certificate)
  const certificateFile = folder.write('guest.pem', guest.certificate)
  const keyFile = folder.write('guest.key', guest.key)
  let server: Server | undefined
  beforeAll(async () => {
    server = await startServer({
      host: '127.0.0.1',
      tls: {
        certificateFile: folder.write('own.pem', own.certificate),
        keyFile: folder.write('own.key', own.key),
        authorityFile,
        clientCertificates: 'optional',
        login: { from: 'common_name', kind: 'dns', index: 0 },
      },
    })
  })
  afterAll(async () => {
    await server?.close()
    folder.remove()
  })
  return {
    authorityFile,
    certificateFile,
    keyFile,
    get port() {
      const port = server?.ports.amqps
      if (port === undefined || port === null) throw new Error('The broker is only there while tests run.')
      return port
    },
  }
}
