// What becomes of deliveries: they are acknowledged, rejected or given back, at once or with tx.commit.
import type { Settlement as TracedSettlement } from '../core/firehose.ts'
import type { Entry } from '../core/queue/entry.ts'
import type { Queue } from '../core/queue/queue.ts'
import type { Channel } from './channel.ts'
import type { ChannelConsumer } from './consumer.ts'
import { AmqpError } from './errors.ts'
import type { Settlement, Transaction } from './transaction.ts'
import type { Unacked, UnackedVisitor } from './unacked.ts'
import { ReplyCode } from './wire/generated.ts'

/** What a consumer gives back to its queue at once; without one it was fetched by basic.get. */
interface Return {
  readonly queue: Queue
  readonly consumer: ChannelConsumer | null
  readonly entries: Entry[]
}

/** RabbitMQ: queue by queue, and what each consumer had by itself, by their names; what was fetched first. */
function inOrder(a: Return, b: Return): number {
  const byName = compare(a.queue.name, b.queue.name)
  return byName === 0 ? compare(a.consumer?.tag ?? '', b.consumer?.tag ?? '') : byName
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Settles what is out with one channel. */
export class Settlements {
  readonly #channel: Channel
  readonly #unacked: Unacked
  /** What acknowledging and rejecting do: others while the vhost is traced. */
  #acknowledgement: Settlement = acknowledgeEntry
  #rejection: Settlement = rejectEntry

  constructor(channel: Channel, unacked: Unacked) {
    this.#channel = channel
    this.#unacked = unacked
  }

  /** The vhost of the channel is traced from here on, or not any more. */
  tracingChanged(on: boolean): void {
    this.#acknowledgement = on ? this.#traced('ack', acknowledgeEntry) : acknowledgeEntry
    this.#rejection = on ? this.#traced('reject', rejectEntry) : rejectEntry
    this.#unacked.keepsAll = on
  }

  /** basic.ack. Throws AmqpError 406 when the tag is not outstanding. */
  acknowledge(tag: number | bigint, multiple: boolean): void {
    const channel = this.#channel
    if (channel.transaction !== null) {
      const traced = this.#acknowledgement !== acknowledgeEntry
      const settlement = traced ? this.#traced('ack', acknowledgeInTransaction) : acknowledgeInTransaction
      this.#settleLater(channel.transaction, tag, multiple, this.#countingGets(settlement))
      return
    }
    const before = this.#unacked.count
    this.#take(tag, multiple, this.#countingGets(this.#acknowledgement))
    channel.counts.acknowledged += before - this.#unacked.count
    channel.returnCredit()
  }

  /**
   * basic.nack and basic.reject; `failed` tells a rejection from giving back (RabbitMQ 4.3). Throws AmqpError 406 when the
   * tag is not outstanding.
   */
  reject(tag: number | bigint, multiple: boolean, requeue: boolean, failed: boolean): void {
    const { transaction } = this.#channel
    if (transaction !== null) {
      const settlement = requeue ? (failed ? requeueFailed : requeueGivenBack) : this.#rejection
      this.#settleLater(transaction, tag, multiple, settlement)
    } else if (requeue) {
      this.#requeue(tag, multiple, failed)
    } else {
      this.#take(tag, multiple, this.#rejection)
      this.#channel.returnCredit()
    }
  }

  /** basic.recover: everything that is outstanding goes back to its queue. It is no part of transactions. */
  recover(): void {
    this.#requeue(0, true, false)
  }

  /**
   * The channel has ended: everything goes back, and that counts as a failure. Returns the queues, for which the caller
   * calls `takenBack`.
   */
  end(): ReadonlySet<Queue> {
    const queues = new Set<Queue>()
    this.#unacked.take(0, true, (entry, consumer) => {
      requeueEntry(entry, consumer, true)
      queues.add(entry.queue)
    })
    return queues
  }

  #requeue(tag: number | bigint, multiple: boolean, failed: boolean): void {
    const channel = this.#channel
    const byHolder = new Map<ChannelConsumer | Queue, Return>()
    this.#take(tag, multiple, (entry, consumer) => {
      const { queue } = entry
      const holder = consumer ?? queue
      const known = byHolder.get(holder)
      if (known === undefined) byHolder.set(holder, { queue, consumer, entries: [entry] })
      else known.entries.push(entry)
    })
    // RabbitMQ: a quorum queue delivers what has come back before it drops what is too much, a classic one after that.
    const delivering = new Set<Queue>()
    for (const { queue, consumer, entries } of [...byHolder.values()].toSorted(inOrder)) {
      for (const entry of entries) {
        requeueEntry(entry, consumer, failed)
        this.#trace('requeue', entry)
      }
      if (queue.rules.type === 'quorum') delivering.add(queue)
      else {
        queue.shorten()
        // RabbitMQ: who gives something back stands in line for it, behind those who wait already.
        if (consumer?.credited === true && channel.globalPrefetch === 0) consumer.resume()
        queue.takenBack()
        channel.returnCredit()
      }
    }
    if (delivering.size > 0) channel.returnCredit()
    for (const queue of delivering) queue.takenBack()
  }

  #settleLater(transaction: Transaction, tag: number | bigint, multiple: boolean, settlement: Settlement): void {
    this.#take(tag, multiple, (entry, consumer, each) => transaction.settle(each, entry, consumer, settlement))
  }

  #take(tag: number | bigint, multiple: boolean, visit: UnackedVisitor): void {
    if (typeof tag === 'number' && this.#unacked.take(tag, multiple, visit)) return
    throw new AmqpError('channel', ReplyCode.preconditionFailed, `unknown delivery tag ${tag}`)
  }

  /** Consumers count what is acknowledged to them; what was fetched by basic.get is counted here. */
  #countingGets(acknowledge: Settlement): Settlement {
    if (this.#unacked.gotCount === 0) return acknowledge
    const { gets } = this.#channel
    return (entry, consumer) => {
      if (consumer === null) gets.of(entry.queue.name).acknowledged++
      acknowledge(entry, consumer)
    }
  }

  #traced(how: TracedSettlement, settle: Settlement): Settlement {
    return (entry, consumer) => {
      settle(entry, consumer)
      this.#trace(how, entry)
    }
  }

  #trace(how: TracedSettlement, entry: Entry): void {
    const { session, origin } = this.#channel
    session.vhost.firehose?.settled(how, entry.message, entry.queue.name, origin, session.user.name)
  }
}

/** A delivery goes back to its queue. The caller calls `takenBack` of that when all of them are. */
export function requeueEntry(entry: Entry, consumer: ChannelConsumer | null, failed: boolean): void {
  giveBack(consumer)
  entry.queue.requeue(entry, failed)
}

function acknowledgeEntry(entry: Entry, consumer: ChannelConsumer | null): void {
  giveBack(consumer)
  if (consumer !== null) consumer.acknowledged++
  entry.queue.acknowledge(entry)
}

function acknowledgeInTransaction(entry: Entry, consumer: ChannelConsumer | null): void {
  giveBack(consumer)
  if (consumer !== null) consumer.acknowledged++
  entry.queue.acknowledgeInTransaction(entry)
}

function rejectEntry(entry: Entry, consumer: ChannelConsumer | null): void {
  giveBack(consumer)
  entry.queue.reject(entry)
}

/** A rejection that is committed, and what is given back likewise. */
function requeueFailed(entry: Entry, consumer: ChannelConsumer | null): void {
  requeueEntry(entry, consumer, true)
  entry.queue.takenBack()
}

function requeueGivenBack(entry: Entry, consumer: ChannelConsumer | null): void {
  requeueEntry(entry, consumer, false)
  entry.queue.takenBack()
}

function giveBack(consumer: ChannelConsumer | null): void {
  if (consumer === null) return
  consumer.outstanding--
  consumer.credited = true
}
