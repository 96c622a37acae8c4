// A server of Node's on its port, which may stop listening there for a while.
import type { Server } from 'node:net'

/** Where to listen. */
export interface ListenOptions {
  /** An address; absent, or `::`: every interface, IPv6 and IPv4. */
  readonly host?: string | undefined
  /** 0 picks a free one. */
  readonly port: number
}

/** Keeps a server on the port that it has once it was opened. Connections that are open stay, whatever is done here. */
export class ListeningServer {
  readonly #server: Server
  readonly #options: ListenOptions
  readonly #failed: (error: Error) => void
  #port = 0
  #suspended = false
  #stopped = false

  /** Listens nowhere yet. `failed` is told when a connection cannot be accepted. */
  constructor(server: Server, options: ListenOptions, failed: (error: Error) => void) {
    this.#server = server
    this.#options = options
    this.#failed = failed
  }

  /** Starts to listen. Rejects with Node's system error. */
  async open(): Promise<void> {
    await bind(this.#server, this.#options)
    const address = this.#server.address()
    this.#port = typeof address === 'object' && address !== null ? address.port : 0
    this.#server.on('error', this.#failed)
  }

  get host(): string | undefined {
    return this.#options.host
  }

  get port(): number {
    return this.#port
  }

  get suspended(): boolean {
    return this.#suspended
  }

  /** Gives the port up until `resume`: who connects meanwhile is refused by the system. */
  suspend(): void {
    if (this.#suspended) return
    this.#suspended = true
    this.#server.close()
  }

  /** Listens on the same port again. Rejects with Node's system error when another has it now, and stays suspended. */
  async resume(): Promise<void> {
    if (!this.#suspended || this.#stopped) return
    this.#server.off('error', this.#failed)
    try {
      await bind(this.#server, { ...this.#options, port: this.#port })
      this.#suspended = false
    } finally {
      this.#server.on('error', this.#failed)
    }
    this.#closeOnceStopped()
  }

  /** Stops for good. */
  stop(): void {
    this.#stopped = true
    this.#server.close()
  }

  /** The broker may have been told to stop while the system was asked for the port. */
  #closeOnceStopped(): void {
    if (this.#stopped) this.#server.close()
  }
}

/** Starts a server of Node's. Rejects with Node's system error. */
async function bind(server: Server, { host, port }: ListenOptions): Promise<void> {
  if (host !== undefined && host !== '::') {
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

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, backlog: 4096, ipv6Only: false }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
