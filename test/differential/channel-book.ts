// What one channel of a program has seen, and what is outstanding on it.
import type { FieldsInput, Properties } from '../support/codec.ts'
import type { Value } from '../support/field-values.ts'
import type { Arrived, PublishFields, RawChannel } from '../support/raw-client.ts'
import { renderedContent, renderedMethod } from './rendered.ts'

/** A delivery that is neither acknowledged nor given back. */
interface Outstanding {
  readonly tag: number
  /** The consumer, or the queue that it was got from. Between sources there is no order. */
  readonly source: string
}

/** More than any channel delivers. */
const UNHEARD_TAG = 9999

/** The books of a channel. */
export class ChannelBook {
  readonly channel: RawChannel
  /** The publishes that wait for their confirm. */
  readonly unconfirmed = new Set<number>()
  readonly #automatic = new Set<string>()
  #outstanding: Outstanding[] = []
  /** Settled in a transaction that is not committed. */
  #undecided: Outstanding[] = []
  #consuming = false
  #nextTag = 1
  #confirming = false
  #published = 0
  #got: { readonly queue: string; readonly noAck: boolean } = { queue: '', noAck: false }
  #replies: string[] = []
  #returns: string[] = []
  #confirms: string[] = []
  readonly #deliveries = new Map<string, string[]>()

  constructor(channel: RawChannel) {
    this.channel = channel
  }

  /** Whether something may come that is no answer to what was sent last. */
  get listens(): boolean {
    return this.#consuming
  }

  /** Whether something changes elsewhere when it is closed. */
  get holds(): boolean {
    return this.#consuming || this.#outstanding.length > 0 || this.#undecided.length > 0
  }

  call(method: string, fields: FieldsInput): void {
    if (method === 'basic.get') this.#got = { queue: text(fields['queue']), noAck: fields['no-ack'] === true }
    if (method === 'basic.consume') {
      this.#consuming = true
      const tag = text(fields['consumer-tag'])
      if (fields['no-ack'] === true) this.#automatic.add(tag)
      else this.#automatic.delete(tag)
    }
    if (method.startsWith('basic.recover')) this.#outstanding = []
    this.channel.send(method, fields)
  }

  publish(fields: PublishFields, bodies: readonly string[], properties: Properties): void {
    for (const body of bodies) {
      this.channel.publish(fields, body, properties)
      if (this.#confirming) this.unconfirmed.add(++this.#published)
    }
  }

  /** Whether there is anything to settle; says so in the transcript if not. */
  settles(nth: number): boolean {
    if (nth < 0 || this.#outstanding.length > 0) return true
    this.#replies.push('has nothing to settle')
    return false
  }

  /** Settles an outstanding delivery, and all before it with `multiple`. There must be one. */
  settle(method: 'basic.ack' | 'basic.nack' | 'basic.reject', nth: number, multiple: boolean, requeue: boolean): void {
    const known = this.#outstanding.toSorted((a, b) => a.source.localeCompare(b.source) || a.tag - b.tag)
    const all = multiple && method !== 'basic.reject'
    const one = nth < 0 ? UNHEARD_TAG : known[nth % known.length]!.tag
    // Which came before which is known within one source only.
    const tag = all && nth >= 0 && known[0]!.source !== known.at(-1)!.source ? 0 : one
    const fields: FieldsInput = {
      'delivery-tag': tag,
      ...(method === 'basic.reject' ? {} : { multiple: all }),
      ...(method === 'basic.ack' ? {} : { requeue }),
    }
    this.channel.send(method, fields)
    const settled = ({ tag: each }: Outstanding): boolean => each === tag || (all && (tag === 0 || each <= tag))
    this.#undecided.push(...this.#outstanding.filter(settled))
    this.#outstanding = this.#outstanding.filter((each) => !settled(each))
  }

  /** Takes in what arrived. */
  enter(arrived: Arrived): void {
    const { method, fields } = arrived
    switch (method) {
      case 'basic.deliver': {
        const consumer = text(fields['consumer-tag'])
        this.#delivered(Number(fields['delivery-tag']), consumer, this.#automatic.has(consumer))
        this.#ofConsumer(consumer).push(renderedContent(arrived))
        return
      }
      case 'basic.get-ok':
        this.#delivered(Number(fields['delivery-tag']), this.#got.queue, this.#got.noAck)
        this.#replies.push(renderedContent(arrived))
        return
      case 'basic.return':
        this.#returns.push(renderedContent(arrived))
        return
      case 'basic.ack':
      case 'basic.nack':
        this.#confirmed(method, Number(fields['delivery-tag']), fields['multiple'] === true)
        return
      case 'basic.cancel':
        this.#ofConsumer(text(fields['consumer-tag'])).push(method)
        return
      case 'confirm.select-ok':
        this.#confirming = true
        break
      case 'tx.commit-ok':
        this.#undecided = []
        break
      case 'tx.rollback-ok':
        this.#outstanding.push(...this.#undecided)
        this.#undecided = []
        break
    }
    this.#replies.push(renderedMethod(arrived))
  }

  /** What came in since this was last asked for: replies, then consumers, returns and confirms. */
  report(): string[] {
    const { number } = this.channel
    const lines = this.#replies.map((line) => `${number} ${line}`)
    for (const consumer of [...this.#deliveries.keys()].toSorted()) {
      for (const line of this.#deliveries.get(consumer)!) lines.push(`${number} ${consumer} ${line}`)
    }
    for (const line of this.#returns) lines.push(`${number} ${line}`)
    if (this.#confirms.length > 0) lines.push(`${number} ${this.#confirms.toSorted().join(', ')}`)
    this.#replies = []
    this.#returns = []
    this.#confirms = []
    this.#deliveries.clear()
    return lines
  }

  #ofConsumer(tag: string): string[] {
    const lines = this.#deliveries.get(tag) ?? []
    this.#deliveries.set(tag, lines)
    return lines
  }

  #delivered(tag: number, source: string, automatic: boolean): void {
    if (tag !== this.#nextTag) this.#replies.push(`has delivery ${tag} where ${this.#nextTag} was due`)
    this.#nextTag = tag + 1
    if (!automatic) this.#outstanding.push({ tag, source })
  }

  #confirmed(method: string, tag: number, multiple: boolean): void {
    for (const each of [...this.unconfirmed]) {
      if (each !== tag && !(multiple && each <= tag)) continue
      this.unconfirmed.delete(each)
      this.#confirms.push(`${method} ${String(each).padStart(3)}`)
    }
  }
}

/** A field that is a short string. */
function text(field: Value | undefined): string {
  return field as string
}
