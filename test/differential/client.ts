// One client of a program: a connection and its channels, and the books that it keeps of them.
import type { FieldsInput } from '../support/codec.ts'
import { RawClient, type Arrived } from '../support/raw-client.ts'
import { ChannelBook } from './channel-book.ts'
import type { Peer } from './peer.ts'
import type { ClientStep } from './program.ts'
import { renderedMethod } from './rendered.ts'

const TIMEOUT_MS = 30_000
const CHANGING_NO_QUEUE: ReadonlySet<string> = new Set([
  'confirm.select',
  'exchange.declare',
  'exchange.unbind',
  'queue.unbind',
  'tx.rollback',
  'tx.select',
])

/** Connects anew when the broker has closed it. */
export class Client {
  /** Whether it has no connection. */
  gone = true
  readonly #peer: Peer
  #raw!: RawClient
  readonly #books = new Map<number, ChannelBook>()
  /** The channels for questions of our own that are open. */
  readonly #probes = new Set<number>()
  /** Whether a channel has been closed since all was last heard: what it held then goes back to its queue, in time. */
  #closed = false
  #news: string[] = []
  #losing: Promise<void> | null = null

  constructor(peer: Peer) {
    this.#peer = peer
  }

  async connect(): Promise<void> {
    this.#raw = await RawClient.dial(this.#peer.port)
    this.#raw.timeoutMs = TIMEOUT_MS
    await this.#raw.handshake({ vhost: this.#peer.vhost })
    this.gone = false
    this.#losing = null
    this.#books.clear()
    this.#probes.clear()
  }

  /** Closes the connection, if there is one: channel by channel, and waits for what each has brought about. */
  async leave(settled: () => Promise<void>): Promise<void> {
    await this.closeChannels(settled)
    if (this.gone) return
    this.gone = true
    this.#closed = true
    await this.#raw.close()
  }

  /** Closes the channels one by one, and waits for what each that held something has brought about. */
  async closeChannels(settled: () => Promise<void>): Promise<void> {
    for (const number of [...this.#books.keys()].toSorted((a, b) => a - b)) {
      const book = this.#books.get(number)
      if (book === undefined) continue
      const { holds } = book
      await this.#closeChannel(book)
      if (holds) await settled()
    }
  }

  /** Goes without a word. */
  drop(): void {
    if (!this.gone) this.#raw.drop()
    this.gone = true
  }

  /** Does one step; `settled` waits until all is quiet. Returns whether anything can have come of it elsewhere. */
  async perform(step: ClientStep, settled: () => Promise<void>): Promise<boolean> {
    if (this.gone) await this.connect()
    if (step.do === 'close' && step.what === 'connection') {
      await this.leave(settled)
      return true
    }
    const book = await this.#book(step.at.channel)
    if (step.do === 'close') {
      const { holds } = book
      await this.#closeChannel(book)
      return holds
    }
    if (step.do === 'settle' && !book.settles(step.nth)) return false
    // Nothing may be asked while a transaction is committed.
    if (step.do === 'call' && step.method === 'tx.commit') {
      book.call(step.method, step.fields)
      await this.#hearAnswer(book)
    }
    // The question after the step goes out with it.
    await this.#raw.atOnce(() => {
      if (step.do === 'publish') book.publish(step.fields, step.bodies, step.properties)
      else if (step.do === 'settle') book.settle(step.method, step.nth, step.multiple, step.requeue)
      else if (step.method !== 'tx.commit') book.call(step.method, step.fields)
      return this.#hear(book)
    })
    return this.#closed || step.do !== 'call' || !CHANGING_NO_QUEUE.has(step.method)
  }

  /**
   * Hears all that has arrived by now, on every channel to which anything may come. Returns whether there was something,
   * or a channel has closed before.
   */
  async gather(): Promise<boolean> {
    const closed = this.#closed
    this.#closed = false
    if (this.gone) return closed
    const books = [...this.#books.values()].filter((book) => book.listens)
    if (books.length === 0) return closed
    const hearing = this.atOnce(() => books.map((book) => this.#hear(book)))
    return (await Promise.all(hearing)).includes(true) || closed
  }

  /** What was heard since this was last asked for. */
  report(): string[] {
    const lines = [...this.#books.values()].flatMap((book) => book.report())
    lines.push(...this.#news)
    this.#news = []
    return lines
  }

  /** Sends in one write all that is sent within. */
  atOnce<T>(send: () => T): T {
    return this.gone ? send() : this.#raw.atOnce(send)
  }

  /** The answer to a question that changes nothing, on a channel for such: its fields, or the code of the refusal. */
  async ask(number: number, method: string, fields: Record<string, string | boolean>): Promise<Arrived | null> {
    if (this.gone) return null
    const probe = this.#raw.channel(number)
    const fresh = !this.#probes.has(number)
    if (fresh) probe.send('channel.open')
    probe.send(method, fields)
    this.#probes.add(number)
    if (fresh && (await this.#next(number)) === null) return null
    const answer = await this.#next(number)
    if (answer?.method === 'channel.close') {
      probe.send('channel.close-ok')
      this.#probes.delete(number)
    }
    return answer
  }

  /** Asks for several things that are not refused, on a channel that is open. */
  async askAll(number: number, asked: readonly (readonly [method: string, fields: FieldsInput])[]): Promise<void> {
    this.atOnce(() => {
      for (const [method, fields] of asked) this.#raw.channel(number).send(method, fields)
    })
    for (const [method] of asked) {
      await this.#raw.channel(number).expect(`${method}-ok`)
      if (method === 'channel.close') this.#probes.delete(number)
    }
  }

  async #book(number: number): Promise<ChannelBook> {
    const known = this.#books.get(number)
    if (known !== undefined) return known
    const book = new ChannelBook(await this.#raw.openChannel(number))
    this.#books.set(number, book)
    return book
  }

  /** Hears what comes before the answer to channel.flow, and what must come after it: all confirms. */
  async #hear(book: ChannelBook): Promise<boolean> {
    book.channel.send('channel.flow', { active: true })
    let heard = false
    for (let answered = false; !answered || book.unconfirmed.size > 0;) {
      const arrived = await this.#next(book.channel.number)
      if (arrived === null) return true
      if (arrived.method === 'channel.flow-ok') {
        answered = true
        continue
      }
      heard = true
      if (!this.#enter(book, arrived)) return true
    }
    return heard
  }

  async #hearAnswer(book: ChannelBook): Promise<void> {
    for (;;) {
      const arrived = await this.#next(book.channel.number)
      if (arrived === null || !this.#enter(book, arrived) || arrived.method === 'tx.commit-ok') return
    }
  }

  /** Writes down what arrived. Returns false when the channel is closed by it. */
  #enter(book: ChannelBook, arrived: Arrived): boolean {
    book.enter(arrived)
    if (arrived.method !== 'channel.close') return true
    book.channel.send('channel.close-ok')
    this.#forget(book)
    return false
  }

  async #closeChannel(book: ChannelBook): Promise<void> {
    book.channel.send('channel.close', { 'reply-code': 200, 'reply-text': 'done' })
    for (;;) {
      const arrived = await this.#next(book.channel.number)
      if (arrived === null || arrived.method === 'channel.close-ok') break
      // RabbitMQ takes the consumers of a channel away one after the other: the last may get what the first gives back.
      if (arrived.method !== 'basic.deliver') book.enter(arrived)
    }
    this.#forget(book)
  }

  #forget(book: ChannelBook): void {
    this.#closed = true
    this.#books.delete(book.channel.number)
    this.#news.push(...book.report())
  }

  /** The next method on a channel; null when the broker has closed the connection. */
  async #next(number: number): Promise<Arrived | null> {
    try {
      return await this.#raw.nextOn(number, 'anything')
    } catch (error) {
      if (this.#losing === null && !this.#raw.ended && this.#raw.waiting(0) === 0) throw error
      this.#losing ??= this.#lose()
      await this.#losing
      return null
    }
  }

  async #lose(): Promise<void> {
    this.gone = true
    this.#closed = true
    for (const book of this.#books.values()) this.#news.push(...book.report())
    this.#books.clear()
    if (this.#raw.waiting(0) === 0) {
      this.#news.push('the connection ends')
      return
    }
    this.#news.push(renderedMethod(await this.#raw.nextOn(0)))
    this.#raw.send('connection.close-ok')
    await this.#raw.expectEnd()
  }
}
