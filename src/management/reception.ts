// Receives the connections of the HTTP API. What serves them is made for the first one: it is much, and many a broker is
// never asked.
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import type { Logger } from '../lib/log.ts'

/** Where to listen. */
export interface Place {
  /** Absent: every interface. */
  readonly host?: string | undefined
  /** 0 picks a free one. */
  readonly port: number
}

/** One application and the port that it is served on. */
export class Reception {
  readonly #make: () => Promise<FastifyInstance>
  readonly #logger: Logger
  #server: Server | null = null
  #making: Promise<FastifyInstance> | null = null
  /** Those that came while the application was being made. */
  readonly #waiting = new Set<Socket>()
  #closed = false

  constructor(make: () => Promise<FastifyInstance>, logger: Logger) {
    this.#make = make
    this.#logger = logger
  }

  /** The port that is listened on; null before. */
  get port(): number | null {
    const address = this.#server?.address() as AddressInfo | null | undefined
    return address?.port ?? null
  }

  /** Starts to listen. Rejects with Node's system error. */
  async listen({ host, port }: Place): Promise<void> {
    if (host !== undefined) {
      await this.#listen(host, port)
      return
    }
    try {
      await this.#listen('::', port)
    } catch (error) {
      // A machine without IPv6 has only the one family to listen on.
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL') throw error
      await this.#listen('0.0.0.0', port)
    }
  }

  /** Serves a connection; also one that was accepted elsewhere, such as over TLS. */
  accept(socket: Socket): void {
    // Nothing is read before somebody listens; a connection that fails until then has only gone.
    socket.pause()
    const gone = (): void => void this.#waiting.delete(socket)
    socket.on('error', gone)
    this.#waiting.add(socket)
    void this.#serve(socket, gone)
  }

  /** Stops listening, and ends the connections. */
  async close(): Promise<void> {
    this.#closed = true
    const ended = this.#server === null ? null : once(this.#server, 'close')
    this.#server?.close()
    for (const socket of this.#waiting) socket.destroy()
    this.#waiting.clear()
    if (this.#making !== null) {
      const app = await this.#making
      app.server.closeAllConnections()
      await app.close()
    }
    await ended
  }

  async #serve(socket: Socket, gone: () => void): Promise<void> {
    let app: FastifyInstance
    try {
      app = await (this.#making ??= this.#made())
    } catch (error) {
      this.#making = null
      this.#logger.error({ err: error }, 'the HTTP API cannot be served')
      socket.destroy()
      return
    }
    socket.off('error', gone)
    if (!this.#waiting.delete(socket) || socket.destroyed) return
    app.server.emit('connection', socket)
    socket.resume()
  }

  async #made(): Promise<FastifyInstance> {
    const app = await this.#make()
    await app.ready()
    // Node counts the connections of a server, and how long they take, from this event on.
    app.server.emit('listening')
    return app
  }

  async #listen(host: string, port: number): Promise<void> {
    const server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
      if (this.#closed) socket.destroy()
      else this.accept(socket)
    })
    server.listen(port, host)
    await once(server, 'listening')
    server.on('error', (error) => this.#logger.error({ err: error }, 'a connection to the HTTP API cannot be accepted'))
    this.#server = server
  }
}
