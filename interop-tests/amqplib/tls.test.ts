// amqplib over TLS: amqps URLs, and EXTERNAL with a client certificate.
import { connect, credentials, type ChannelModel } from 'amqplib'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { startServer, type Server } from '../../src/server.ts'
import { authority, CertificateFolder, makeCertificate, name } from '../../test/support/certificates.ts'
import { closeIfOpen } from '../support/amqplib.ts'

const folder = new CertificateFolder()
const ca = authority('the authority')
const own = makeCertificate({ subject: name(['CN', 'localhost']), dns: ['localhost'], issuer: ca })
const guest = makeCertificate({ subject: name(['CN', 'guest']), issuer: ca })
let server: Server

beforeAll(async () => {
  server = await startServer({
    host: '127.0.0.1',
    tls: {
      certificateFile: folder.write('own.pem', own.certificate),
      keyFile: folder.write('own.key', own.key),
      authorityFile: folder.write('ca.pem', ca.certificate),
      clientCertificates: 'optional',
      login: { from: 'common_name', kind: 'dns', index: 0 },
    },
  })
})
afterAll(async () => {
  await server.close()
  folder.remove()
})

async function connected(url: string, options: object = {}): Promise<ChannelModel> {
  const connection = await connect(url, { ca: [Buffer.from(ca.certificate)], servername: 'localhost', ...options })
  onTestFinished(() => closeIfOpen(connection))
  return connection
}

async function expectToWork(connection: ChannelModel): Promise<void> {
  const channel = await connection.createConfirmChannel()
  const { queue } = await channel.assertQueue('', { exclusive: true })
  channel.sendToQueue(queue, Buffer.from('safe'))
  await channel.waitForConfirms()
  const message = await channel.get(queue, { noAck: true })
  expect(message && message.content.toString()).toBe('safe')
}

describe('amqplib over TLS', () => {
  it('connects by an amqps URL', async () => {
    await expectToWork(await connected(`amqps://guest:guest@127.0.0.1:${server.ports.amqps}`))
  })

  it('logs in by its certificate', async () => {
    const identity = { cert: Buffer.from(guest.certificate), key: Buffer.from(guest.key) }
    const url = `amqps://127.0.0.1:${server.ports.amqps}`
    await expectToWork(await connected(url, { ...identity, credentials: credentials.external() }))
  })

  it('does not trust a broker whose authority it does not know', async () => {
    const url = `amqps://guest:guest@127.0.0.1:${server.ports.amqps}`
    await expect(connect(url, { servername: 'localhost' })).rejects.toThrow(/self-signed|unable to/)
  })
})
