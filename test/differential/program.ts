// Programs for two brokers: what clients and operators do, step by step, made from a seed.
import type { FieldsInput, Properties } from '../support/codec.ts'
import type { Value } from '../support/field-values.ts'
import { Random } from '../support/random.ts'
import type { PublishFields } from '../support/raw-client.ts'
import { ClassicAuthor } from './classic-author.ts'
import { QuorumAuthor } from './quorum-author.ts'

/** A channel of one of the clients. */
export interface Place {
  readonly client: number
  readonly channel: number
}

/** A step of a client. */
export type ClientStep =
  | { readonly do: 'call'; readonly at: Place; readonly method: string; readonly fields: FieldsInput }
  | {
      readonly do: 'publish'
      readonly at: Place
      readonly fields: PublishFields
      readonly bodies: readonly string[]
      readonly properties: Properties
    }
  /** Settles the delivery that is the `nth` of those outstanding on the channel, from the oldest; -1 is one unheard of. */
  | {
      readonly do: 'settle'
      readonly at: Place
      readonly method: 'basic.ack' | 'basic.nack' | 'basic.reject'
      readonly nth: number
      readonly multiple: boolean
      readonly requeue: boolean
    }
  /** Closes the channel, or the connection, as a client does. */
  | { readonly do: 'close'; readonly at: Place; readonly what: 'channel' | 'connection' }

/** A change over the HTTP API: `name` is below the vhost. */
export interface OperatorStep {
  readonly do: 'operate'
  readonly method: 'PUT' | 'DELETE' | 'POST'
  readonly kind: 'policies' | 'operator-policies' | 'vhost-limits' | 'queues' | 'exchanges' | 'bindings'
  readonly name: string
  readonly body?: { readonly [key: string]: Value }
}

/** One step; all that it causes is awaited before the next. */
export type Step = ClientStep | OperatorStep

/** What is run on both brokers. */
export interface Program {
  readonly seed: number
  readonly steps: readonly Step[]
  /** Whether the time that passes matters: then each step is given some before anybody looks. */
  readonly timed: boolean
  /** Whether there are quorum queues, whose log is to be waited for. */
  readonly quorum: boolean
  /** Whether what waits in a queue at the end has an order. */
  readonly ordered: boolean
}

const QUORUM_SHARE = 0.15
const TIMED_SHARE = 0.05

/** The program of a seed. */
export function programOf(seed: number): Program {
  const random = new Random(seed)
  const timed = random.chance(TIMED_SHARE)
  const quorum = random.chance(QUORUM_SHARE)
  if (!quorum) return { seed, steps: new ClassicAuthor(random, timed).steps(), timed, quorum, ordered: true }
  const author = new QuorumAuthor(random, timed)
  return { seed, steps: author.steps(), timed, quorum, ordered: author.ordered }
}
