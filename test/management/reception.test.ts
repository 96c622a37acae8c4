// Connections that come before there is anything to serve them.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { fastify, type FastifyInstance } from 'fastify'
import { expect, it, onTestFinished, vi } from 'vitest'
import { silentLogger } from '../../src/lib/log.ts'
import { Reception } from '../../src/management/reception.ts'

const REQUEST = 'GET / HTTP/1.1\r\nhost: hare\r\nconnection: close\r\n\r\n'

/** A reception whose application is made when the test says so. */
async function reception() {
  let made: (app: FastifyInstance) => void = () => undefined
  const make = vi.fn(() => new Promise<FastifyInstance>((resolve) => (made = resolve)))
  const one = new Reception(make, silentLogger)
  await one.listen({ host: '127.0.0.1', port: 0 })
  const finish = (): void => {
    const app = fastify({ exposeHeadRoutes: false })
    app.get('/', () => 'carrots')
    made(app)
  }
  return { one, make, finish }
}

async function client(to: Reception): Promise<Socket> {
  const socket = connect(to.port!, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

async function answer(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
  await once(socket, 'end')
  return text
}

it('are served when it is made, all by the same', async () => {
  const { one, make, finish } = await reception()
  expect(make).not.toHaveBeenCalled()
  const clients = [await client(one), await client(one)]
  for (const socket of clients) socket.write(REQUEST)
  await expect.poll(() => make.mock.calls.length).toBe(1)
  finish()
  for (const socket of clients) expect(await answer(socket)).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*carrots$/)
  expect(make).toHaveBeenCalledOnce()
  await one.close()
})

it('may go again before it is made', async () => {
  const { one, make, finish } = await reception()
  const [gone, stays] = [await client(one), await client(one)]
  await expect.poll(() => make.mock.calls.length).toBe(1)
  gone.resetAndDestroy()
  stays.write(REQUEST)
  finish()
  expect(await answer(stays)).toContain('carrots')
  await one.close()
})

it('are ended when it closes', async () => {
  const { one, make, finish } = await reception()
  const waiting = await client(one)
  await expect.poll(() => make.mock.calls.length).toBe(1)
  const ended = once(waiting, 'close')
  const closed = one.close()
  finish()
  await Promise.all([ended, closed])
  expect(waiting.destroyed).toBe(true)
})
