// From the protocol header to connection.open-ok: who the client is, what is agreed, where it goes.
import type { Session } from '../core/session.ts'
import type { User } from '../core/access.ts'
import type { Connection, ClientCapabilities } from './connection.ts'
import { AmqpError, atMethod, replyText } from './errors.ts'
import { FRAME_BYTES_MIN } from './limits.ts'
import type { Claim, Mechanism } from './mechanisms.ts'
import { serverProperties } from './server-properties.ts'
import type { FieldTable } from './wire/field-table.ts'
import {
  Method,
  ReplyCode,
  writeConnectionOpenOk,
  writeConnectionStart,
  writeConnectionTune,
} from './wire/generated.ts'

const AMQP_MAJOR = 0
const AMQP_MINOR = 9
const LOCALES = 'en_US'

/** A step that cannot be taken: the client is not trusted yet, so it is told nothing. The sentence is for the log. */
export class HandshakeError extends Error {}

/** The opening of one connection. Each step is a method of the client's, and only in its state. */
export class Handshake {
  readonly connection: Connection
  #user: User | null = null

  constructor(connection: Connection) {
    this.connection = connection
  }

  /** The protocol header was right. */
  start(): void {
    const { connection } = this
    const { version, clusterName } = connection.options
    writeConnectionStart(
      connection.writer,
      0,
      AMQP_MAJOR,
      AMQP_MINOR,
      serverProperties(version, clusterName()),
      this.#offered()
        .map((mechanism) => mechanism.name)
        .join(' '),
      LOCALES,
    )
  }

  /** connection.start-ok: the client says who it is. */
  startOk(properties: FieldTable, mechanismName: string, response: Buffer): void {
    const { connection } = this
    if (connection.state !== 'starting') throw this.#unexpected(Method.connectionStartOk)
    connection.client = capabilities(properties)
    connection.clientProperties = properties
    connection.mechanism = mechanismName
    const mechanism = this.#offered().find((offered) => offered.name === mechanismName)
    if (mechanism === undefined) throw new HandshakeError(`invalid authentication mechanism '${mechanismName}'`)
    const claim = mechanism.read(response, connection.peer)
    if (claim === null) throw new HandshakeError(`malformed ${mechanismName} response`)
    connection.claimedUser = claim.user
    connection.state = 'authenticating'
    // What the client sends meanwhile waits: it is for the states behind this one.
    const resume = connection.suspend()
    this.#verify(claim)
      .then(
        (user) => this.#verified(user, mechanism),
        (error: unknown) => {
          connection.context.broker.logger.error({ err: error }, 'a login could not be verified')
          connection.closeSilently()
        },
      )
      .finally(resume)
  }

  /** connection.tune-ok: what the client makes of the server's proposal. */
  tuneOk(channelMax: number, frameMax: number, heartbeatSeconds: number): void {
    const { connection } = this
    if (connection.state !== 'tuning') throw this.#unexpected(Method.connectionTuneOk)
    const { options } = connection
    connection.tuned(
      negotiated('channel_max', channelMax, 1, options.channelMax),
      negotiated('frame_max', frameMax, FRAME_BYTES_MIN, options.frameMax),
      heartbeatSeconds,
    )
    connection.state = 'opening'
  }

  /** connection.open: into which vhost. */
  open(vhostName: string): void {
    const { connection } = this
    if (connection.state !== 'opening') throw this.#unexpected(Method.connectionOpen)
    const { broker } = connection.context
    const user = this.#user!
    let session: Session
    try {
      session = broker.openSession(user, broker.admit(user, vhostName))
    } catch (error) {
      throw atMethod(error, Method.connectionOpen)
    }
    connection.opened(session)
    writeConnectionOpenOk(connection.writer, 0)
    const { address, port } = connection.peer
    broker.logger.info({ peer: `${address}:${port}`, user: user.name, vhost: vhostName }, 'connection opened')
  }

  /** A method of the connection class that is for another state. */
  unexpected(method: number): Error {
    return this.#unexpected(method)
  }

  #offered(): readonly Mechanism[] {
    return this.connection.options.mechanisms.filter((mechanism) => mechanism.offered(this.connection.peer))
  }

  async #verify(claim: Claim): Promise<User | null> {
    const { connection } = this
    const { access } = connection.context.broker
    const gone = (): boolean => connection.state !== 'authenticating'
    const source = { protocol: 'amqp091', address: connection.peer.address, gone } as const
    if (!claim.proved) return access.authenticate(claim.user, claim.password, connection.peerIsLoopback, source)
    const account = access.user(claim.user)
    access.attempts.count(source, claim.user, account !== undefined)
    return account === undefined ? null : { name: account.name, tags: account.tags }
  }

  #verified(user: User | null, mechanism: Mechanism): void {
    const { connection } = this
    // The client may have gone, or been cut off, while its password was being checked.
    if (connection.state !== 'authenticating') return
    if (user === null) {
      this.#refuse(mechanism)
      return
    }
    this.#user = user
    connection.state = 'tuning'
    const { channelMax, frameMax, heartbeatSeconds } = connection.options
    writeConnectionTune(connection.writer, 0, channelMax, frameMax, heartbeatSeconds)
  }

  /** RabbitMQ: only a client that says it understands is told why; any other finds its socket closed. */
  #refuse(mechanism: Mechanism): void {
    const { connection } = this
    if (!connection.client.authenticationFailureClose) {
      connection.report(null, `login refused using authentication mechanism ${mechanism.name}`)
      connection.closeSilently()
      return
    }
    const sentence = `Login was refused using authentication mechanism ${mechanism.name}. For details see the broker logfile.`
    connection.close(ReplyCode.accessRefused, replyText(ReplyCode.accessRefused, sentence), 0)
  }

  #unexpected(method: number): Error {
    const { state } = this.connection
    if (state !== 'opening' && state !== 'running') return new HandshakeError(`unexpected method in state ${state}`)
    const sentence = `unexpected method in connection state ${state}`
    return new AmqpError('connection', ReplyCode.channelError, sentence, method)
  }
}

/** A client's value for something the server offered: within bounds, and 0 (no limit) only if that was offered. */
function negotiated(what: string, value: number, min: number, offered: number): number {
  if (offered === 0 ? value === 0 : value >= min && value <= offered) return value
  if (offered === 0 && value >= min) return value
  throw new HandshakeError(`negotiated ${what} = ${value} is outside ${min} to ${offered}`)
}

function capabilities(properties: FieldTable): ClientCapabilities {
  const table = properties.get('capabilities')
  const claims = (key: string): boolean => {
    const value = table?.type === 'table' ? table.value.get(key) : undefined
    return value?.type === 'bool' && value.value
  }
  return {
    authenticationFailureClose: claims('authentication_failure_close'),
    consumerCancelNotify: claims('consumer_cancel_notify'),
    connectionBlocked: claims('connection.blocked'),
  }
}
