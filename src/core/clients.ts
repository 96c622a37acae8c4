// Who is connected, as front ends show it to whoever watches: plain getters, read when somebody asks.
import type { MessageCounts } from './counts.ts'
import type { Entry } from './queue/entry.ts'
import type { Gets } from './gets.ts'
import type { Passages } from './passages.ts'
import type { Queue } from './queue/queue.ts'
import type { FieldTable } from './value.ts'

/** What a connection is doing. RabbitMQ's words. */
export type ConnectionActivity = 'running' | 'flow' | 'blocked' | 'closing' | 'closed'

/** One client's connection, from when it is let into its vhost until it is gone. */
export interface ConnectionView {
  /** `peer host:port -> own host:port`, unique while it lasts. */
  readonly name: string
  readonly user: string
  readonly vhost: string
  /** As people know it: `AMQP 0-9-1`. */
  readonly protocol: string
  readonly activity: ConnectionActivity
  readonly peerHost: string
  readonly peerPort: number
  readonly host: string
  readonly port: number
  /** Null when the connection is not encrypted. */
  readonly tls: TlsView | null
  /** Milliseconds since 1970. */
  readonly connectedAt: number
  /** How the client logged in: `PLAIN` and others. */
  readonly mechanism: string
  readonly clientProperties: FieldTable
  readonly channelMax: number
  readonly frameMax: number
  readonly heartbeatSeconds: number
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly channels: Iterable<ChannelView>
  readonly channelCount: number
  /** Ends the connection from this side and tells the client why. */
  closeByOperator(reason: string): void
}

/** How a connection is encrypted, in RabbitMQ's words: `tlsv1.3`, `any`, `aes_256_gcm`, `aead`. */
export interface TlsView {
  readonly protocol: string
  readonly keyExchange: string
  readonly cipher: string
  readonly hash: string
  /** The client's certificate; null when it gave none. */
  readonly peer: { readonly subject: string; readonly issuer: string; readonly validity: string } | null
}

/** One channel (or what comes closest in another protocol). */
export interface ChannelView {
  readonly number: number
  readonly counts: MessageCounts
  /** What was published, by exchange. */
  readonly publishes: Passages
  /** What was fetched by basic.get, by queue. */
  readonly gets: Gets
  readonly activity: 'running' | 'closing'
  readonly confirmMode: boolean
  readonly transactional: boolean
  /** The prefetch of consumers that start from now on; 0 is no limit. */
  readonly consumerPrefetch: number
  /** The prefetch of all consumers together; 0 is no limit. */
  readonly globalPrefetch: number
  readonly unackedCount: number
  /** The tag of the oldest delivery that waits for an acknowledgement, and the tag that the next delivery will have. */
  readonly firstUnackedTag: number
  readonly nextDeliveryTag: number
  /** Publishes that wait for their confirm. */
  readonly unconfirmedCount: number
  readonly consumerViews: Iterable<ConsumerView>
  readonly consumerCount: number
  /** Calls back for each delivery that waits for an acknowledgement, oldest first. */
  eachUnacked(visit: (deliveryTag: number, entry: Entry, consumerTag: string) => void): void
}

/** One subscription. */
export interface ConsumerView {
  readonly tag: string
  readonly queue: Queue
  readonly noAck: boolean
  readonly exclusive: boolean
  /** 0 is no limit. */
  readonly prefetch: number
  readonly arguments: FieldTable
  /** Deliveries that it has and did not acknowledge. */
  readonly outstanding: number
  /** What it got since it started, how much of that not for the first time, and how much was acknowledged. */
  readonly delivered: number
  readonly redelivered: number
  readonly acknowledged: number
  /** Whether it would take a delivery now. */
  readonly ready: boolean
  /** Whether it gets deliveries as far as the queue's other consumers are concerned. */
  readonly active: boolean
  /** Ends the subscription from this side and tells the client, if it understands that. What it has stays with it. */
  cancelByOperator(): void
}
