// Runs a program on one broker, and writes down all that its clients see.
import { setTimeout as pause } from 'node:timers/promises'
import { Client, type Peer } from './client.ts'
import { EXCHANGES, QUEUES, STEP_MS, type Program, type Step } from './program.ts'
import { renderedContent, renderedStep } from './rendered.ts'

const ROUNDS_MAX = 50
/** The channel of a client on which it asks for the state of the first queue; the next is for the next queue. */
const FIRST_PROBE = 10
const AUDIT = 1

/**
 * What was seen in a run: for each step what it was, what arrived on each channel, and how the queues then were. Only
 * what has an order is written in one: replies of a channel, deliveries of a consumer, returns.
 */
export async function transcriptOf(program: Program, peer: Peer): Promise<string[]> {
  const run = new Run(peer, program.timed)
  try {
    await run.start()
    for (const [index, step] of program.steps.entries()) await run.step(index, step)
    await run.audit()
    return run.lines
  } finally {
    await run.clean()
  }
}

class Run {
  readonly lines: string[] = []
  readonly #timed: boolean
  readonly #clients: readonly Client[]
  /** Asks for the state of queues, and removes what is left. */
  readonly #auditor: Client
  /** How the queues were when they were last looked at. */
  readonly #states = new Map<string, string>(QUEUES.map((queue) => [queue, 'none']))

  constructor(peer: Peer, timed: boolean) {
    this.#timed = timed
    this.#clients = [new Client(peer), new Client(peer), new Client(peer)]
    this.#auditor = new Client(peer)
  }

  async start(): Promise<void> {
    await this.#auditor.connect()
  }

  async step(index: number, step: Step): Promise<void> {
    this.lines.push(`${index}: ${renderedStep(step)}`)
    await this.#clients[step.at.client]!.perform(step, this.#settled)
    await this.#settled()
  }

  /** What is left when both clients are gone. */
  async audit(): Promise<void> {
    this.lines.push('at the end')
    for (const client of this.#clients) await client.leave(this.#settled)
    await this.#settled()
    for (const queue of QUEUES) {
      if (this.#states.get(queue) !== 'none') await this.#drain(queue)
    }
    for (const exchange of EXCHANGES) {
      const answer = await this.#auditor.ask(AUDIT, 'exchange.declare', { exchange, passive: true })
      if (answer?.method === 'exchange.declare-ok') this.lines.push(`  ${exchange} is there`)
    }
  }

  async clean(): Promise<void> {
    for (const client of this.#clients) await client.leave(this.#settled)
    for (const queue of [...QUEUES, 'never']) await this.#auditor.ask(AUDIT, 'queue.delete', { queue })
    for (const exchange of EXCHANGES) await this.#auditor.ask(AUDIT, 'exchange.delete', { exchange })
    await this.#auditor.leave(this.#settled)
  }

  async #drain(queue: string): Promise<void> {
    for (;;) {
      const answer = await this.#auditor.ask(AUDIT, 'basic.get', { queue, 'no-ack': true })
      if (answer?.method !== 'basic.get-ok') return
      this.lines.push(`  ${queue} ${renderedContent(answer)}`)
    }
  }

  /** Waits until nothing happens any more, and writes down what did. */
  readonly #settled = async (): Promise<void> => {
    if (this.#timed) await pause(STEP_MS)
    const changed = new Map<string, string>()
    let quiet = 0
    for (let round = 0; quiet < 2; round++) {
      if (round > ROUNDS_MAX) throw new Error('the broker does not come to rest')
      const heard = this.#clients.map((client) => client.gather())
      const news = (await Promise.all([...heard, this.#look(changed)])).includes(true)
      quiet = news ? 0 : quiet + 1
    }
    for (const [i, client] of this.#clients.entries()) {
      for (const line of client.report()) this.lines.push(`  ${i}/${line}`)
    }
    for (const queue of QUEUES) {
      const state = changed.get(queue)
      if (state !== undefined) this.lines.push(`  ${queue}: ${state}`)
    }
  }

  /** Asks how the queues are. Returns whether any has changed. */
  async #look(changed: Map<string, string>): Promise<boolean> {
    const states = await Promise.all(QUEUES.map((queue, i) => this.#stateOf(queue, FIRST_PROBE + i)))
    let news = false
    for (const [i, queue] of QUEUES.entries()) {
      const state = states[i]!
      if (this.#states.get(queue) === state) continue
      this.#states.set(queue, state)
      changed.set(queue, state)
      news = true
    }
    return news
  }

  async #stateOf(queue: string, probe: number): Promise<string> {
    // An exclusive queue answers its own client only.
    for (const client of [this.#auditor, ...this.#clients]) {
      const answer = await client.ask(probe, 'queue.declare', { queue, passive: true })
      if (answer?.method === 'queue.declare-ok') {
        const { 'message-count': ready, 'consumer-count': consumers } = answer.fields
        return `${Number(ready)} ready, ${Number(consumers)} consumers`
      }
      if (answer !== null && answer.fields['reply-code'] !== 405) return 'none'
    }
    return 'locked'
  }
}
