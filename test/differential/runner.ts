// Runs programs on one broker, and writes down all that their clients see.
import { setTimeout as pause } from 'node:timers/promises'
import { Barrier } from './barrier.ts'
import { Client } from './client.ts'
import { EXCHANGES, LIMITS, NEVER, POLICIES, QUEUES } from './names.ts'
import type { Peer } from './peer.ts'
import type { Program, Step } from './program.ts'
import { renderedAnswer, renderedContent, renderedDefinitions, renderedStep } from './rendered.ts'
import { STEP_MS } from './times.ts'

const ROUNDS_MAX = 50
/** The channel of a client on which it asks for the state of the first queue; the next is for the next queue. */
const FIRST_PROBE = 10
const AUDIT = 1

/** Runs programs one after the other. */
export class Runner {
  #peer: Peer
  /** Asks for the state of queues, and removes what is left. */
  #auditor: Client
  /** Those of the programs. A connection outlives a program that has no use for its end. */
  #clients: readonly Client[]
  readonly #barrier: Barrier

  constructor(peer: Peer) {
    this.#peer = peer
    this.#auditor = new Client(peer)
    this.#clients = clientsOf(peer)
    this.#barrier = new Barrier(peer.port)
  }

  /**
   * What was seen in a run: for each step what it was, what arrived on each channel, and how the queues then were. Only
   * what has an order is written in one: replies of a channel, deliveries of a consumer, returns.
   */
  async transcriptOf(program: Program): Promise<readonly string[]> {
    const run = new Run(this.#peer, this.#auditor, this.#clients, program, this.#barrier)
    const { vhost } = this.#peer
    try {
      if (this.#auditor.gone) await this.#auditor.connect()
      for (const [index, step] of program.steps.entries()) await run.step(index, step)
      await run.audit()
      await run.clean()
    } catch (error) {
      run.fail(error as Error)
      // What was not removed is left behind.
      this.#peer = await this.#peer.another()
      this.#auditor = new Client(this.#peer)
      this.#clients = clientsOf(this.#peer)
    }
    return run.lines.map((line) => {
      const compared = line.replaceAll(vhost, 'vhost')
      // RabbitMQ counts who has got a message of a quorum queue as a consumer, until it is settled.
      return program.quorum ? compared.replace(/"consumer-count":\d+,/, '') : compared
    })
  }

  async close(): Promise<void> {
    for (const client of [...this.#clients, this.#auditor]) await client.leave(() => Promise.resolve())
    await this.#barrier.close()
    this.#peer.leave()
  }
}

function clientsOf(peer: Peer): readonly Client[] {
  return [new Client(peer), new Client(peer), new Client(peer)]
}

class Run {
  readonly lines: string[] = []
  readonly #peer: Peer
  readonly #auditor: Client
  readonly #program: Program
  readonly #barrier: Barrier
  readonly #clients: readonly Client[]
  /** The clients that may ask for a queue: its owner, where it is exclusive. */
  readonly #askers = new Map<string, Client>()
  /** How the queues were when they were last looked at; those that are not there are missing. */
  readonly #states = new Map<string, string>()
  /** So often nothing must have happened before a step is over. A dead letter may pass a queue that looks as before. */
  readonly #quietRounds: number
  /** The queue that the step may have brought into being. */
  #declared: string | null = null

  constructor(peer: Peer, auditor: Client, clients: readonly Client[], program: Program, barrier: Barrier) {
    this.#peer = peer
    this.#auditor = auditor
    this.#program = program
    this.#barrier = barrier
    this.#clients = clients
    this.#quietRounds = JSON.stringify(program.steps.map(renderedStep)).includes('dead-letter') ? 2 : 1
  }

  async step(index: number, step: Step): Promise<void> {
    this.lines.push(`${index}: ${renderedStep(step)}`)
    if (step.do === 'operate') {
      const path = `${step.kind}/${this.#peer.vhost}/${step.name}`
      this.#declared = step.kind === 'queues' && step.method === 'PUT' ? step.name : null
      const { status, body } = await this.#peer.call(step.method, path, step.body)
      this.lines.push(`  ${renderedAnswer(status, body)}`)
    } else {
      const declares = step.do === 'call' && step.method === 'queue.declare'
      this.#declared = declares ? (step.fields['queue'] as string) : null
      const effective = await this.#clients[step.at.client]!.perform(step, this.#settled)
      if (!effective && !this.#program.timed) {
        this.#report()
        return
      }
    }
    await this.#settled()
  }

  /** What the HTTP API tells of it all, and what is left when the clients are gone. */
  async audit(): Promise<void> {
    this.lines.push('at the end')
    const { body } = await this.#peer.call('GET', `definitions/${this.#peer.vhost}`)
    for (const line of renderedDefinitions(body)) this.lines.push(`  ${line}`)
    for (const client of this.#clients) await client.closeChannels(this.#settled)
    if (this.#program.steps.some((step) => step.do === 'call' && step.fields['exclusive'] === true)) {
      for (const client of this.#clients) await client.leave(this.#settled)
    }
    await this.#settled()
    for (const queue of [...this.#states.keys()].toSorted()) {
      if (!this.#states.get(queue)!.startsWith('0 ready')) await this.#drain(queue)
    }
    const probes = EXCHANGES.map((_exchange, i) => FIRST_PROBE + QUEUES.length + i)
    const passive = true
    const exchanges = this.#auditor.atOnce(() =>
      EXCHANGES.map((exchange, i) => this.#auditor.ask(probes[i]!, 'exchange.declare', { exchange, passive })),
    )
    for (const [i, answer] of (await Promise.all(exchanges)).entries()) {
      if (answer?.method === 'exchange.declare-ok') this.lines.push(`  ${EXCHANGES[i]} is there`)
    }
  }

  /** A broker that does not answer differs from one that does. */
  fail(error: Error): void {
    this.lines.push(`fails: ${error.message.split('\n', 1)[0]}`)
    for (const client of [...this.#clients, this.#auditor]) client.drop()
  }

  async clean(): Promise<void> {
    await this.#auditor.ask(AUDIT, 'basic.qos', {})
    await this.#auditor.askAll(AUDIT, [
      ...[...QUEUES, NEVER].map((queue) => ['queue.delete', { queue }] as const),
      ...EXCHANGES.map((exchange) => ['exchange.delete', { exchange }] as const),
      // RabbitMQ 3.10: a channel takes a quorum queue for one that had its name before, and fails.
      ['channel.close', {}],
    ])
    if (!this.#program.steps.some((step) => step.do === 'operate')) return
    for (const limit of LIMITS) await this.#peer.call('DELETE', `vhost-limits/${this.#peer.vhost}/${limit}`)
    for (const [kind, name] of POLICIES) await this.#peer.call('DELETE', `${kind}/${this.#peer.vhost}/${name}`)
  }

  async #drain(queue: string): Promise<void> {
    const lines: string[] = []
    for (;;) {
      const answer = await this.#auditor.ask(AUDIT, 'basic.get', { queue, 'no-ack': true })
      if (answer?.method !== 'basic.get-ok') break
      const { 'message-count': _left, ...fields } = answer.fields
      lines.push(`  ${queue} ${renderedContent({ ...answer, fields })}`)
    }
    this.lines.push(...(this.#program.ordered ? lines : lines.toSorted()))
  }

  /** Waits until nothing happens any more, and writes down what did. */
  readonly #settled = async (): Promise<void> => {
    const changed = new Map<string, string>()
    if (this.#program.timed) await pause(STEP_MS)
    for (let round = 0, quiet = 0; quiet < this.#quietRounds; round++) {
      if (round > ROUNDS_MAX) throw new Error('the broker does not come to rest')
      if (this.#program.quorum) await this.#barrier.pass()
      // A queue that has answered has sent its deliveries: they are there when a channel is asked after that.
      const moved = await this.#look(changed)
      const heard = await Promise.all(this.#clients.map((client) => client.gather()))
      quiet = moved || heard.includes(true) ? 0 : quiet + 1
    }
    this.#report()
    for (const queue of QUEUES) {
      const state = changed.get(queue)
      if (state !== undefined) this.lines.push(`  ${queue}: ${state}`)
    }
  }

  #report(): void {
    for (const [i, client] of this.#clients.entries()) {
      for (const line of client.report()) this.lines.push(`  ${i}/${line}`)
    }
  }

  /** Asks how the queues are. Returns whether any has changed. */
  async #look(changed: Map<string, string>): Promise<boolean> {
    const queues = QUEUES.filter((queue) => this.#states.has(queue) || queue === this.#declared)
    const states = await Promise.all(this.#auditor.atOnce(() => queues.map((queue) => this.#stateOf(queue))))
    let news = false
    for (const [i, queue] of queues.entries()) {
      const state = states[i]!
      if (this.#states.get(queue) === state) continue
      if (state === undefined) {
        if (!this.#states.delete(queue)) continue
        this.#askers.delete(queue)
      } else {
        this.#states.set(queue, state)
      }
      changed.set(queue, state ?? 'none')
      news = true
    }
    return news
  }

  /** How a queue is; undefined when it is not there. */
  async #stateOf(queue: string): Promise<string | undefined> {
    const probe = FIRST_PROBE + QUEUES.indexOf(queue)
    const known = this.#askers.get(queue)
    // An exclusive queue answers its own client only.
    for (const client of [...(known === undefined ? [] : [known]), this.#auditor, ...this.#clients]) {
      const answer = await client.ask(probe, 'queue.declare', { queue, passive: true })
      if (answer?.method === 'queue.declare-ok') {
        this.#askers.set(queue, client)
        const { 'message-count': ready, 'consumer-count': consumers } = answer.fields
        const counted = this.#program.quorum ? '' : `, ${Number(consumers)} consumers`
        return `${Number(ready)} ready${counted}`
      }
      if (answer !== null && answer.fields['reply-code'] !== 405) return undefined
    }
    return 'locked'
  }
}
