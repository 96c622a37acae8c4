// What the rest of the broker sees of an AMQP connection.
import type { ChannelView, ConnectionActivity, ConnectionView, TlsView } from '../core/clients.ts'
import type { Session } from '../core/session.ts'
import type { FieldTable } from '../core/value.ts'
import type { Connection } from './connection.ts'
import { replyText } from './errors.ts'
import { ReplyCode } from './wire/generated.ts'

/** A connection's face to whoever watches: what never changes is copied, the rest is read when it is asked for. */
export class AmqpConnectionView implements ConnectionView {
  readonly name: string
  readonly user: string
  readonly vhost: string
  readonly protocol = 'AMQP 0-9-1'
  readonly peerHost: string
  readonly peerPort: number
  readonly host: string
  readonly port: number
  readonly tls: TlsView | null
  readonly connectedAt: number
  readonly mechanism: string
  readonly clientProperties: FieldTable
  readonly channelMax: number
  readonly frameMax: number
  readonly heartbeatSeconds: number
  readonly #connection: Connection

  constructor(connection: Connection, session: Session) {
    const { peer, local } = connection
    this.name = connection.name
    this.user = session.user.name
    this.vhost = session.vhost.name
    this.peerHost = peer.address
    this.peerPort = peer.port
    this.host = local.address
    this.port = local.port
    this.tls = connection.tls
    this.connectedAt = connection.connectedAt
    this.mechanism = connection.mechanism
    this.clientProperties = connection.clientProperties
    this.channelMax = connection.channelMax
    this.frameMax = connection.frameMax
    this.heartbeatSeconds = connection.heartbeatSeconds
    this.#connection = connection
  }

  get activity(): ConnectionActivity {
    const { state, publisherBlocked, readingHeld } = this.#connection
    if (state === 'closing' || state === 'closed') return state
    if (publisherBlocked) return 'blocked'
    return readingHeld ? 'flow' : 'running'
  }

  get receivedBytes(): number {
    return this.#connection.receivedBytes
  }

  get sentBytes(): number {
    return this.#connection.sentBytes
  }

  get channels(): Iterable<ChannelView> {
    return this.#connection.openChannels
  }

  get channelCount(): number {
    return this.#connection.channelCount
  }

  closeByOperator(reason: string): void {
    this.#connection.close(ReplyCode.connectionForced, replyText(ReplyCode.connectionForced, reason), 0)
  }
}
