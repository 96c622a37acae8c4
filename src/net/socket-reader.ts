// Rations what is read from a socket: one chunk a turn, and none while somebody holds it.
import type { Socket } from 'node:net'
import { Stage, type Turn, type TurnTask } from '../lib/turn.ts'

/**
 * The incoming side of a socket. Left to itself Node reads one busy socket many times before it serves the next, and a
 * fast publisher starves consumers and acknowledgements. So each socket gives one chunk a turn; `hold` stops it.
 */
export class SocketReader implements TurnTask {
  readonly #socket: Socket
  readonly #turn: Turn
  #enlisted = false
  #holds = 0

  constructor(socket: Socket, turn: Turn, data: (chunk: Buffer) => void) {
    this.#socket = socket
    this.#turn = turn
    socket.on('data', (chunk: Buffer) => {
      socket.pause()
      this.#enlist()
      data(chunk)
    })
  }

  /** Whether somebody holds it. */
  get held(): boolean {
    return this.#holds > 0
  }

  /** Reads nothing until `release` has been called as often. */
  hold(): void {
    this.#holds++
    this.#socket.pause()
  }

  release(): void {
    if (--this.#holds === 0) this.#enlist()
  }

  runStage(): void {
    this.#enlisted = false
    if (this.#holds === 0 && !this.#socket.destroyed) this.#socket.resume()
  }

  #enlist(): void {
    if (this.#enlisted) return
    this.#enlisted = true
    this.#turn.enlist(Stage.read, this)
  }
}
