// Heartbeats by a clock that is moved by hand.
import { describe, expect, it } from 'vitest'
import { Heartbeat, type HeartbeatPeer } from '../../src/amqp/heartbeat.ts'
import { ManualClock } from '../../src/lib/clock.ts'

class Peer implements HeartbeatPeer {
  sentBytes = 0
  receivedBytes = 0
  readingHeld = false
  readonly log: string[] = []
  readonly clock = new ManualClock(0)
  #waiting = 0

  /** What is written counts as sent at the end of the turn. */
  sendHeartbeat(): void {
    this.log.push(`heartbeat at ${this.clock.now()}`)
    this.#waiting += 8
  }

  peerSilent(): void {
    this.log.push(`silent at ${this.clock.now()}`)
  }

  /** Passes time in small steps, in each of which octets come and go. */
  pass(milliseconds: number, received: number, sent = 0): void {
    for (let passed = 0; passed < milliseconds; passed += 500) {
      this.clock.advance(500)
      this.receivedBytes += received
      this.sentBytes += sent + this.#waiting
      this.#waiting = 0
    }
  }
}

function start(seconds: number): { readonly peer: Peer; readonly heartbeat: Heartbeat } {
  const peer = new Peer()
  return { peer, heartbeat: new Heartbeat(peer.clock, seconds, peer) }
}

describe('heartbeats', () => {
  it('are not sent, and not expected, when none were agreed on', () => {
    const { peer } = start(0)
    peer.clock.advance(1_000_000)
    expect(peer.log).toEqual([])
  })

  it('are sent when nothing else was for half an interval', () => {
    const { peer } = start(10)
    peer.pass(20_000, 1)
    expect(peer.log).toEqual(['heartbeat at 5000', 'heartbeat at 15000'])
  })

  it('are sent at least once in each interval', () => {
    const { peer } = start(10)
    peer.pass(100_000, 1)
    expect(peer.log.length).toBeGreaterThanOrEqual(10)
  })

  it('are not sent while there is other output', () => {
    const { peer } = start(2)
    peer.pass(60_000, 1, 1)
    expect(peer.log).toEqual([])
  })

  it('end when they are stopped', () => {
    const { peer, heartbeat } = start(2)
    heartbeat.stop()
    peer.clock.advance(60_000)
    expect(peer.log).toEqual([])
  })
})

describe('a peer', () => {
  it('counts as gone after two intervals without an octet', () => {
    const { peer } = start(10)
    peer.pass(19_500, 0, 1)
    expect(peer.log).toEqual([])
    peer.pass(500, 0, 1)
    expect(peer.log).toEqual(['silent at 20000'])
  })

  it('is there as long as any octet comes in one of two intervals', () => {
    const { peer } = start(10)
    for (let i = 0; i < 10; i++) {
      peer.pass(15_000, 0, 1)
      peer.pass(500, 1, 1)
    }
    expect(peer.log).toEqual([])
  })

  it('is not taken for silent while it is not read, and has two intervals from then on', () => {
    const { peer } = start(10)
    peer.readingHeld = true
    peer.pass(60_000, 0, 1)
    expect(peer.log).toEqual([])
    peer.readingHeld = false
    peer.pass(10_000, 0, 1)
    expect(peer.log).toEqual([])
    peer.pass(10_000, 0, 1)
    expect(peer.log).toEqual(['silent at 80000'])
  })
})
