// Listens for TCP connections.
import { createServer, type Server as NetServer, type Socket } from 'node:net'

/** Where to listen. */
export interface ListenOptions {
  /** An address; absent: every interface, IPv6 and IPv4. */
  readonly host?: string | undefined
  /** 0 picks a free one. */
  readonly port: number
}

/** A listening socket. It hands over connections and knows nothing of what is spoken on them. */
export class Listener {
  readonly #server: NetServer

  private constructor(server: NetServer) {
    this.#server = server
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
    const server = createServer({ noDelay: true, allowHalfOpen: true }, accept)
    await bind(server, options)
    server.on('error', failed)
    return new Listener(server)
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** Stops accepting. Connections that are open stay. */
  stop(): void {
    this.#server.close()
  }
}

/** Starts a server of Node's. Rejects with Node's system error. */
export async function bind(server: NetServer, { host, port }: ListenOptions): Promise<void> {
  if (host !== undefined) {
    await listening(server, host, port)
    return
  }
  try {
    await listening(server, '::', port)
  } catch (error) {
    // A machine without IPv6 has only the one family to listen on.
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL') throw error
    await listening(server, '0.0.0.0', port)
  }
}

function listening(server: NetServer, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, backlog: 4096, ipv6Only: false }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
