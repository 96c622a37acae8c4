// What keeps a client from being read: alarms, publishes that are ahead of the rest, and answers that it does not read.
import type { AlarmListener } from '../core/alarms.ts'
import type { Session } from '../core/session.ts'
import type { SocketReader } from '../net/socket-reader.ts'
import type { Timer } from '../lib/clock.ts'
import type { Connection } from './connection.ts'
import { UNREAD_BYTES_MAX, UNREAD_MS_MAX } from './limits.ts'
import { writeConnectionBlocked, writeConnectionUnblocked } from './wire/generated.ts'

/** Holds the input of one connection. It hears of alarms once the client has published. */
export class Flow implements AlarmListener {
  /** Whether there was a publish in the chunk that is being read. */
  published = false

  readonly #connection: Connection
  readonly #reader: SocketReader
  /** Whether the client has ever published. */
  #publishing = false
  #blocked = false
  /** Whether the client must read before it is read from. */
  #choked = false
  #patience: Timer | null = null

  constructor(connection: Connection, reader: SocketReader) {
    this.#connection = connection
    this.#reader = reader
  }

  /** Whether an alarm keeps the client from publishing. */
  get publisherBlocked(): boolean {
    return this.#blocked
  }

  /** A chunk was read. There is a session once the client may publish. */
  chunkRead(session: Session | null): void {
    if (this.published) this.#pace(session)
    if (this.#connection.writer.unsentBytes > UNREAD_BYTES_MAX) this.#choke()
  }

  blocked(reason: string): void {
    if (!this.#blocked) this.#reader.hold()
    this.#blocked = true
    const { client, writer } = this.#connection
    if (client.connectionBlocked) writeConnectionBlocked(writer, 0, reason)
  }

  unblocked(): void {
    if (!this.#blocked) return
    this.#blocked = false
    this.#reader.release()
    const { client, writer } = this.#connection
    if (client.connectionBlocked) writeConnectionUnblocked(writer, 0)
  }

  /** The client has read what it was sent. */
  drained(): void {
    if (this.#choked) this.#reader.release()
    this.#choked = false
    this.#patience?.cancel()
    this.#patience = null
  }

  /** The client's channels have ended. Nobody would say when an alarm is clear, and the answer to a close must be read. */
  end(): void {
    this.#connection.context.broker.alarms.delete(this)
    if (this.#blocked) this.#reader.release()
    this.#blocked = false
    this.drained()
  }

  /** Publishers that are ahead of the rest give way. */
  #pace(session: Session | null): void {
    this.published = false
    if (!this.#connection.running) return
    const { alarms, pace } = this.#connection.context.broker
    if (!this.#publishing) {
      this.#publishing = true
      alarms.add(this)
    }
    pace.after(this.#reader, session?.takeOverrun() ?? null)
  }

  /** The answers to what the client asks are memory: while so many wait, it is not asked for more. */
  #choke(): void {
    if (this.#choked || !this.#connection.running) return
    this.#choked = true
    this.#reader.hold()
    this.#waitForReading()
  }

  /**
   * Gives the client up unless it reads in time what it has been sent by now. What is held back until the disk has it is
   * not the client's affair: once that is sent, the client has as much time again.
   */
  #waitForReading(): void {
    const { writer, context } = this.#connection
    const sent = writer.sentBytes
    this.#patience = context.broker.clock.after(UNREAD_MS_MAX, () => {
      if (writer.takenBytes < sent) this.#connection.answersUnread()
      else this.#waitForReading()
    })
  }
}
