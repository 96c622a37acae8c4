// Listening: where, and when it cannot be done.
import { once } from 'node:events'
import { connect, Server, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Listener } from '../../src/net/listener.ts'

const neverFails = (error: Error): never => {
  throw error
}

interface Listening {
  readonly listener: Listener
  readonly accepted: Socket[]
  /** Connects and waits until it was accepted. */
  readonly dial: (host: string) => Promise<Socket>
}

async function listen(host?: string): Promise<Listening> {
  const accepted: Socket[] = []
  let wake = (): void => undefined
  const listener = await Listener.listen(
    { host, port: 0 },
    (socket) => {
      accepted.push(socket)
      wake()
    },
    neverFails,
  )
  onTestFinished(() => {
    listener.stop()
    for (const socket of accepted) socket.destroy()
  })
  return {
    listener,
    accepted,
    dial: async (to) => {
      const next = new Promise<void>((resolve) => (wake = resolve))
      const socket = connect(listener.port, to)
      await Promise.all([once(socket, 'connect'), next])
      onTestFinished(() => void socket.destroy())
      return socket
    },
  }
}

const IPV6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ family }) => family === 'IPv6'))

describe('a listener', () => {
  it('picks a free port when it is asked for none, and hands over what connects there', async () => {
    const one = await listen('127.0.0.1')
    const two = await listen('127.0.0.1')
    expect(one.listener.port).toBeGreaterThan(0)
    expect(two.listener.port).not.toBe(one.listener.port)
    await two.dial('127.0.0.1')
    expect([one.accepted.length, two.accepted.length]).toEqual([0, 1])
  })

  it('listens on every interface when it is given none', async () => {
    const { dial, accepted } = await listen()
    await dial('127.0.0.1')
    expect(accepted.length).toBe(1)
  })

  it.skipIf(!IPV6)(`listens on IPv6 as well${IPV6 ? '' : ' (this machine has none)'}`, async () => {
    const { dial, accepted } = await listen()
    await dial('::1')
    await dial('127.0.0.1')
    expect(accepted.length).toBe(2)
  })

  it("passes the system's reason on when it cannot listen", async () => {
    const { listener } = await listen('127.0.0.1')
    const taken = Listener.listen({ host: '127.0.0.1', port: listener.port }, () => undefined, neverFails)
    await expect(taken).rejects.toMatchObject({ code: 'EADDRINUSE' })
    const elsewhere = Listener.listen({ host: '192.0.2.1', port: 0 }, () => undefined, neverFails)
    await expect(elsewhere).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' })
  })

  it('says that a connection could not be accepted, and goes on listening', async () => {
    const begun = vi.spyOn(Server.prototype, 'listen')
    onTestFinished(() => begun.mockRestore())
    const failed = vi.fn<(error: Error) => void>()
    let accept = (_socket: Socket): void => undefined
    const listener = await Listener.listen({ host: '127.0.0.1', port: 0 }, (socket) => accept(socket), failed)
    onTestFinished(() => listener.stop())
    const error = new Error('accept EMFILE')
    // As Node does when the process has no file descriptor left.
    ;(begun.mock.contexts[0] as Server).emit('error', error)
    expect(failed).toHaveBeenCalledExactlyOnceWith(error)
    const accepted = new Promise<Socket>((resolve) => (accept = resolve))
    const socket = connect(listener.port, '127.0.0.1')
    ;(await accepted).destroy()
    socket.destroy()
  })

  it('accepts nobody more once it is stopped, and leaves alone who is there', async () => {
    const { listener, dial, accepted } = await listen('127.0.0.1')
    const socket = await dial('127.0.0.1')
    const { port } = listener
    listener.stop()
    const late = connect(port, '127.0.0.1')
    await expect(once(late, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    socket.write('still here')
    const [bytes] = (await once(accepted[0]!, 'data')) as [Buffer]
    expect(String(bytes)).toBe('still here')
  })
})
