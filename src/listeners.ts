// All the ports that a broker listens on, and the certificates that it shows there.
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { AmqpContext } from './amqp/amqp-context.ts'
import { Connection } from './amqp/connection.ts'
import type { Timer } from './lib/clock.ts'
import { StartError } from './lib/start-error.ts'
import { ManagementServer } from './management/management-server.ts'
import type { ListenerFacts, Node } from './management/route.ts'
import { Listener } from './net/listener.ts'
import { TlsError, TlsFiles, type TlsSettings } from './net/tls/tls-files.ts'
import { TlsListener } from './net/tls/tls-listener.ts'
import { certificateUser, LOGIN_BY_SUBJECT, tlsFacts, type CertificateLogin } from './net/tls/tls-session.ts'

/** A place to listen at, beside the first of its kind. */
export interface FurtherAddress {
  /** null: every interface, IPv6 and IPv4. */
  readonly host: string | null
  readonly port: number
}

/** TLS for AMQP. */
export interface AmqpTlsOptions extends TlsSettings {
  /** The address to listen on. Absent: that without TLS. */
  readonly host?: string | undefined
  /** 0 (the default) picks a free one. */
  readonly port?: number | undefined
  /** Where it is spoken besides. */
  readonly alsoListen?: readonly FurtherAddress[] | undefined
  /** Which part of a client's certificate is the name of its user, for SASL's EXTERNAL. Absent: its whole subject. */
  readonly login?: CertificateLogin | undefined
}

/**
 * TLS for the HTTP API and for metrics. Addresses: absent, those without TLS. Ports: 0 picks a free one, absent: none.
 */
export interface HttpTlsOptions extends TlsSettings {
  readonly managementHost?: string | undefined
  readonly managementPort?: number | undefined
  readonly prometheusHost?: string | undefined
  readonly prometheusPort?: number | undefined
}

/** Where is listened. Everything has a default. */
export interface ListenerOptions {
  /** The address to listen on. Absent: every interface, IPv6 and IPv4. */
  readonly host?: string | undefined
  /** The AMQP port; 0 (the default) picks a free one, null is none. */
  readonly port?: number | null | undefined
  /** Where AMQP is spoken besides. */
  readonly alsoListen?: readonly FurtherAddress[] | undefined
  /** AMQP over TLS. Absent: it is not spoken. */
  readonly tls?: AmqpTlsOptions | undefined
  /** The port of the HTTP API; 0 picks a free one. Absent: it is not served without TLS. */
  readonly managementPort?: number | undefined
  /** The address of the HTTP API. Absent: every interface. */
  readonly managementHost?: string | undefined
  /** The address of what Prometheus scrapes. Absent: that of the HTTP API. */
  readonly prometheusHost?: string | undefined
  /** The port that Prometheus scrapes; 0 picks a free one. Absent: not served there. */
  readonly prometheusPort?: number | undefined
  /** The HTTP API and metrics over TLS, beside those without. Absent: they are not. */
  readonly managementTls?: HttpTlsOptions | undefined
}

/** The ports that are listened on. */
export interface Ports {
  /** 0 when AMQP is only spoken over TLS. */
  readonly amqp: number
  readonly amqps?: number
  readonly management?: number
  readonly 'management-tls'?: number
  readonly prometheus?: number
  readonly 'prometheus-tls'?: number
}

/** Where something listens. */
interface Place {
  readonly protocol: string
  readonly host: string | undefined
  readonly port: number
}

/** What listens somewhere, as it is shown; the HTTP server sees to its own ports. */
interface Opened {
  readonly facts: ListenerFacts
  readonly listener: Listener | TlsListener | null
}

/** What management is told of the node, but for the listeners. */
type NodeFacts = Omit<Node, 'listeners' | 'suspendListeners' | 'resumeListeners'>

/** The open ports of one broker. */
export class Listeners {
  readonly #options: ListenerOptions
  readonly #context: AmqpContext
  readonly #open: Opened[] = []
  readonly #watches: Timer[] = []
  #management: ManagementServer | null = null
  #ports: Ports = { amqp: 0 }
  /** The resumption that goes on; it never rejects. */
  #resumption: Promise<void> = Promise.resolve()

  private constructor(options: ListenerOptions, context: AmqpContext) {
    this.#options = options
    this.#context = context
  }

  /**
   * Opens the ports, the one for AMQP first.
   * @throws StartError when a port or a certificate cannot be used
   */
  static async open(options: ListenerOptions, context: AmqpContext, node: NodeFacts): Promise<Listeners> {
    const listeners = new Listeners(options, context)
    try {
      await listeners.#start(node)
    } catch (error) {
      await listeners.close()
      throw error
    }
    return listeners
  }

  get ports(): Ports {
    return this.#ports
  }

  /** Takes no more connections. */
  stop(): void {
    for (const watch of this.#watches) watch.cancel()
    for (const { listener } of this.#open.splice(0)) listener?.stop()
  }

  /** Accepts no AMQP connections until `resume`; those that are open go on. */
  async suspend(): Promise<void> {
    await this.#resumption
    for (const listener of this.#amqpListeners()) listener.server.suspend()
  }

  /**
   * Accepts AMQP connections again, on the ports of before.
   * @throws StartError when one of the ports cannot be used; it stays suspended
   */
  async resume(): Promise<void> {
    const resumed = this.#resumption.then(() => this.#resume())
    this.#resumption = resumed.catch(() => undefined)
    return resumed
  }

  async #resume(): Promise<void> {
    for (const listener of this.#amqpListeners()) {
      const { host, port } = listener.server
      await listening(host, port, () => listener.server.resume())
    }
  }

  #amqpListeners(): readonly (Listener | TlsListener)[] {
    return this.#open.flatMap(({ facts, listener }) =>
      listener !== null && facts.protocol.startsWith('amqp') ? [listener] : [],
    )
  }

  /** Also ends the requests to the HTTP API. */
  async close(): Promise<void> {
    this.stop()
    await this.#management?.close()
  }

  async #start(node: NodeFacts): Promise<void> {
    const { host, port = 0, alsoListen = [], tls, managementTls } = this.#options
    const { logger } = this.#context.broker
    const files = await this.#files(tls)
    const httpFiles = await this.#files(managementTls)
    if (port !== null) {
      const amqp = await this.#listen({ protocol: 'amqp', host, port })
      this.#ports = { amqp }
      logger.info({ port: amqp, dataDir: node.dataDir }, 'accepting AMQP connections')
    }
    for (const further of alsoListen) await this.#listen(placeOf('amqp', further))
    if (files !== null && tls !== undefined) {
      const login = tls.login ?? LOGIN_BY_SUBJECT
      const accept = (socket: TLSSocket): void => {
        const security = { facts: tlsFacts(socket), user: certificateUser(socket, login) }
        void new Connection(socket, this.#context, security)
      }
      const place = { protocol: 'amqp/ssl', host: tls.host ?? host, port: tls.port ?? 0 }
      const amqps = await this.#listenTls(place, files, accept)
      this.#ports = { ...this.#ports, amqps }
      for (const further of tls.alsoListen ?? []) await this.#listenTls(placeOf('amqp/ssl', further), files, accept)
    }
    await this.#startManagement(node, httpFiles)
  }

  get #scrapeHost(): string | undefined {
    return this.#options.prometheusHost ?? this.#options.managementHost
  }

  async #startManagement(node: NodeFacts, files: TlsFiles | null): Promise<void> {
    const { managementHost: host, managementPort, prometheusPort, managementTls } = this.#options
    if (managementPort === undefined && prometheusPort === undefined && managementTls === undefined) return
    const { broker } = this.#context
    const management = new ManagementServer(broker, this.#nodeOf(node))
    this.#management = management
    if (managementPort !== undefined) {
      await listening(host, managementPort, () => management.listen({ host, port: managementPort }))
      const port = management.port ?? 0
      this.#opened({ protocol: 'http', host, port })
      this.#ports = { ...this.#ports, management: port }
      broker.logger.info({ port }, 'the HTTP API is served')
    }
    if (prometheusPort !== undefined) {
      const place = { host: this.#scrapeHost, port: prometheusPort }
      await listening(place.host, place.port, () => management.listenForScrapes(place))
      const prometheus = management.scrapePort ?? 0
      this.#opened({ ...place, protocol: 'http/prometheus', port: prometheus })
      this.#ports = { ...this.#ports, prometheus }
    }
    if (files !== null && managementTls !== undefined) await this.#startHttps(management, files, managementTls)
  }

  #nodeOf(facts: NodeFacts): Node {
    const open = this.#open
    return {
      ...facts,
      get listeners() {
        return open.filter(({ listener }) => listener?.server.suspended !== true).map((one) => one.facts)
      },
      suspendListeners: () => this.suspend(),
      resumeListeners: () => this.resume(),
    }
  }

  async #startHttps(management: ManagementServer, files: TlsFiles, options: HttpTlsOptions): Promise<void> {
    const { managementPort, prometheusPort } = options
    if (managementPort !== undefined) {
      const host = options.managementHost ?? this.#options.managementHost
      const place = { protocol: 'https', host, port: managementPort }
      const port = await this.#listenTls(place, files, (socket) => management.accept(socket))
      this.#ports = { ...this.#ports, 'management-tls': port }
    }
    if (prometheusPort !== undefined) {
      const place = {
        protocol: 'https/prometheus',
        host: options.prometheusHost ?? this.#scrapeHost,
        port: prometheusPort,
      }
      const port = await this.#listenTls(place, files, (socket) => management.acceptScrape(socket))
      this.#ports = { ...this.#ports, 'prometheus-tls': port }
    }
  }

  /** Listens for AMQP without TLS. Returns the port. */
  async #listen(place: Place): Promise<number> {
    const { host, port } = place
    const accept = (socket: Socket): void => void new Connection(socket, this.#context)
    const listener = await listening(host, port, () => Listener.listen({ host, port }, accept, this.#failed))
    this.#opened({ ...place, port: listener.port }, listener)
    return listener.port
  }

  /** Listens for TLS. Returns the port. */
  async #listenTls(place: Place, files: TlsFiles, accept: (socket: TLSSocket) => void): Promise<number> {
    const { protocol, host, port } = place
    const { broker, options } = this.#context
    const { logger } = broker
    const events = {
      accept,
      refused: (reason: string, address: string) =>
        logger.warn({ protocol, peer: address, reason }, 'a TLS connection was refused'),
      failed: this.#failed,
    }
    const { handshakeTimeoutMs } = options
    const listener = await listening(host, port, () =>
      TlsListener.listen({ host, port, files, handshakeTimeoutMs }, events),
    )
    this.#opened({ ...place, port: listener.port }, listener)
    logger.info({ protocol, port: listener.port }, 'accepting connections over TLS')
    return listener.port
  }

  #opened({ protocol, host, port }: Place, listener: Listener | TlsListener | null = null): void {
    const place = { protocol, address: host ?? '::', port }
    const facts =
      listener instanceof TlsListener
        ? { ...place, tls: true, certificates: () => listener.files.certificates }
        : { ...place, tls: false }
    this.#open.push({ facts, listener })
  }

  readonly #failed = (error: Error): void => {
    this.#context.broker.logger.error({ err: error }, 'a connection cannot be accepted')
  }

  /** Opens the files of one kind of listeners; null when these speak no TLS. */
  async #files(settings: TlsSettings | undefined): Promise<TlsFiles | null> {
    if (settings === undefined) return null
    try {
      const files = await TlsFiles.open(settings)
      this.#warnOfExpired(files)
      this.#watch(files)
      return files
    } catch (error) {
      if (error instanceof TlsError) throw new StartError(error.message, { cause: error })
      throw error
    }
  }

  #watch(files: TlsFiles): void {
    const { clock, logger } = this.#context.broker
    const { certificateFile } = files.settings
    const tlsRenewed = (): void => {
      for (const { listener } of this.#open)
        if (listener instanceof TlsListener && listener.files === files) listener.renew()
      logger.info({ file: certificateFile }, 'changed certificates are in use')
      this.#warnOfExpired(files)
    }
    const tlsNotRenewed = (error: Error): void =>
      logger.error({ file: certificateFile, err: error }, 'changed certificates cannot be used; those of before stay')
    this.#watches.push(files.watch(clock, { tlsRenewed, tlsNotRenewed }))
  }

  #warnOfExpired(files: TlsFiles): void {
    const { clock, logger } = this.#context.broker
    for (const { file, validTo } of files.certificates) {
      if (validTo <= clock.now()) logger.warn({ file, since: new Date(validTo) }, 'a certificate has expired')
    }
  }
}

function placeOf(protocol: string, { host, port }: FurtherAddress): Place {
  return { protocol, host: host ?? undefined, port }
}

/** Starts to listen, or says in words why that cannot be. */
async function listening<T>(host: string | undefined, port: number, begin: () => Promise<T>): Promise<T> {
  try {
    return await begin()
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    const where = host === undefined ? `port ${port}` : `${host}, port ${port}`
    if (code === 'EADDRINUSE') throw new StartError(`${where} is in use by another process`, { cause: error })
    if (code === 'EACCES')
      throw new StartError(`${where} needs rights that this process does not have`, { cause: error })
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
      throw new StartError(`${where} is not an address of this machine`, { cause: error })
    }
    throw error
  }
}
