// What the broker says of its queues beside AMQP, which only tells how many messages are ready.
import { ConnectionLostError } from './load-client.ts'

/** How many messages of one queue are where. */
export interface QueueCounts {
  readonly unacked: number
  /** Given back, and waiting before they are ready again. */
  readonly delayed: number
  /** Given up, and kept until their dead letters are taken. */
  readonly dying: number
  /** On pages that the disk does not give. */
  readonly unreadable: number
}

/** What was said of all queues and exchanges. */
export class BrokerCounts {
  readonly #figures = new Map<string, number>()

  constructor(text: string) {
    for (const line of text.split('\n')) {
      const found = /^(?:leveret|rabbitmq)_(queue|exchange)_messages_(\w+)\{vhost="\/",\w+="([^"]+)"\} (\d+)$/.exec(
        line,
      )
      if (found !== null) this.#figures.set(`${found[1]} ${found[3]} ${found[2]}`, Number(found[4]))
    }
  }

  queue(name: string): QueueCounts {
    const unacked = this.#read(`queue ${name} unacked`)
    // Of a queue that has none of these nothing is said.
    const read = (what: string): number => this.#figures.get(`queue ${name} ${what}`) ?? 0
    return { unacked, delayed: read('delayed'), dying: read('dying'), unreadable: read('unreadable') }
  }

  /** Messages that wait for their time before an exchange. */
  delayedBefore(exchange: string): number {
    return this.#read(`exchange ${exchange} delayed`)
  }

  #read(name: string): number {
    const figure = this.#figures.get(name)
    if (figure === undefined) throw new Error(`the broker says nothing of ${name}`)
    return figure
  }
}

/** Asks a broker for its counts. Who asks while an answer is on its way gets the next one, with all the others who do. */
export class CountsReader {
  readonly #url: string
  #asked: Promise<BrokerCounts> | null = null
  #next: Promise<BrokerCounts> | null = null
  /** How often the broker has answered. */
  answers = 0

  /** `port` is the one for Prometheus. */
  constructor(port: number) {
    this.#url = `http://127.0.0.1:${port}/metrics/per-object`
  }

  /** What the broker says from now on. Rejects with ConnectionLostError when it cannot be reached. */
  read(): Promise<BrokerCounts> {
    this.#next ??= this.#readNext()
    return this.#next
  }

  async #readNext(): Promise<BrokerCounts> {
    await Promise.allSettled([this.#asked])
    this.#next = null
    this.#asked = this.#ask()
    return this.#asked
  }

  async #ask(): Promise<BrokerCounts> {
    const text = await fetch(this.#url).then((response) => response.text(), unreachable)
    this.answers++
    return new BrokerCounts(text)
  }
}

function unreachable(cause: unknown): never {
  throw new ConnectionLostError('the counts', { cause })
}
