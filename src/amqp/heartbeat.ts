// Heartbeats of one connection, both ways (AMQP 0-9-1 §4.2.7).
import type { Clock, Timer } from '../lib/clock.ts'

/** What heartbeats need to know and do. Counts are octets since the connection began: any octet counts. */
export interface HeartbeatPeer {
  readonly sentBytes: number
  readonly receivedBytes: number
  /** Nothing is read on purpose: silence means nothing now. */
  readonly readingHeld: boolean
  sendHeartbeat(): void
  /** The peer was silent for two intervals: it is gone. */
  peerSilent(): void
}

/** Intervals without an octet after which the peer counts as gone. RabbitMQ's rule. */
const SILENT_INTERVALS_MAX = 2

/** Sends when half an interval passed without output, and gives up when two passed without input. */
export class Heartbeat {
  readonly #timers: Timer[] = []

  constructor(clock: Clock, intervalSeconds: number, peer: HeartbeatPeer) {
    if (intervalSeconds === 0) return
    let sent = peer.sentBytes
    const sender = clock.every(intervalSeconds * 500, () => {
      if (peer.sentBytes === sent) peer.sendHeartbeat()
      sent = peer.sentBytes
    })
    let received = peer.receivedBytes
    let silent = 0
    const receiver = clock.every(intervalSeconds * 1000, () => {
      silent = peer.receivedBytes === received && !peer.readingHeld ? silent + 1 : 0
      received = peer.receivedBytes
      if (silent >= SILENT_INTERVALS_MAX) peer.peerSilent()
    })
    this.#timers.push(sender, receiver)
  }

  stop(): void {
    for (const timer of this.#timers) timer.cancel()
  }
}
