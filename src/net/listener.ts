// Listens for TCP connections.
import { createServer, type Socket } from 'node:net'
import { ListeningServer, type ListenOptions } from './listening-server.ts'

/** A listening socket. It hands over connections and knows nothing of what is spoken on them. */
export class Listener {
  readonly server: ListeningServer

  private constructor(server: ListeningServer) {
    this.server = server
  }

  /**
   * Starts to listen. Rejects with Node's system error (EADDRINUSE, EACCES, EADDRNOTAVAIL ...). Once it listens, `failed`
   * is told when a connection cannot be accepted, as when the process has no file descriptor left; it goes on listening.
   * Who accepts a connection sees to it that it is ended when the peer has ended it.
   */
  static async listen(
    options: ListenOptions,
    accept: (socket: Socket) => void,
    failed: (error: Error) => void,
  ): Promise<Listener> {
    const server = new ListeningServer(createServer({ noDelay: true, allowHalfOpen: true }, accept), options, failed)
    await server.open()
    return new Listener(server)
  }

  get port(): number {
    return this.server.port
  }

  /** Stops accepting. Connections that are open stay. */
  stop(): void {
    this.server.stop()
  }
}
