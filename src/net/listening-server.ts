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

/**
 * Starts a server of Node's. Rejects with Node's system error. Without an address Node.js listens on IPv6 and IPv4, or on
 * IPv4 where there is no IPv6; it would do the same for `::`, but look that name up first, which takes a start 6 ms.
 */
function bind(server: Server, { host, port }: ListenOptions): Promise<void> {
  const place = host === undefined || host === '::' ? { port } : { host, port }
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ ...place, backlog: 4096, ipv6Only: false }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
