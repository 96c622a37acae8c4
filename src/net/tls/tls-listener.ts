// Listens for connections over TLS, and hands them over once they are safe.
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { ListeningServer, type ListenOptions } from '../listening-server.ts'
import type { TlsFiles } from './tls-files.ts'

/** How TLS is spoken. */
export interface TlsListenOptions extends ListenOptions {
  readonly files: TlsFiles
  /** Milliseconds for the handshake. */
  readonly handshakeTimeoutMs: number
}

/** What becomes of connections. */
export interface TlsListenerEvents {
  /** The handshake is done. A client certificate that was given is valid. */
  accept(socket: TLSSocket): void
  /** A handshake came to nothing, or the client's certificate is not good enough; the socket is closed. */
  refused(reason: string, address: string): void
  /** A connection could not be accepted at all. */
  failed(error: Error): void
}

const NO_CERTIFICATE = 'the client gave no certificate'

/** A listening socket. It knows nothing of what is spoken below TLS. */
export class TlsListener {
  readonly server: ListeningServer
  readonly #server: Server
  readonly #options: TlsListenOptions
  readonly #events: TlsListenerEvents

  private constructor(options: TlsListenOptions, events: TlsListenerEvents) {
    const { files, handshakeTimeoutMs } = options
    this.#options = options
    this.#events = events
    // Node would turn clients away without a word in the log: it only asks, and `#secured` decides.
    const asks = (files.settings.clientCertificates ?? 'ignored') !== 'ignored'
    this.#server = createServer(
      {
        ...files.context,
        noDelay: true,
        handshakeTimeout: handshakeTimeoutMs,
        requestCert: asks,
        rejectUnauthorized: false,
      },
      (socket) => this.#secured(socket),
    )
    this.#server.on('tlsClientError', (error, socket) => {
      events.refused(error.message, socket.remoteAddress ?? '')
      socket.destroy()
    })
    this.server = new ListeningServer(this.#server, options, (error) => events.failed(error))
  }

  /** Starts to listen. Rejects with Node's system error. */
  static async listen(options: TlsListenOptions, events: TlsListenerEvents): Promise<TlsListener> {
    const listener = new TlsListener(options, events)
    await listener.server.open()
    return listener
  }

  get files(): TlsFiles {
    return this.#options.files
  }

  get port(): number {
    return this.server.port
  }

  /** The files were read again: new connections use what is in them. Sessions of before cannot be resumed. */
  renew(): void {
    this.#server.setSecureContext(this.#options.files.context)
  }

  /** Stops accepting. Connections that are open stay. */
  stop(): void {
    this.server.stop()
  }

  #secured(socket: TLSSocket): void {
    const wanted = this.#options.files.settings.clientCertificates ?? 'ignored'
    const given = wanted !== 'ignored' && socket.getPeerX509Certificate() !== undefined
    if (wanted === 'required' ? socket.authorized : !given || socket.authorized) {
      this.#events.accept(socket)
      return
    }
    const reason = given
      ? `the client's certificate is not valid: ${String(socket.authorizationError)}`
      : NO_CERTIFICATE
    this.#events.refused(reason, socket.remoteAddress ?? '')
    socket.destroy()
  }
}
