// What a queue does beside keeping messages in order: its arguments, read once. A policy may replace them at any time.
import { queueTypeOf } from '../arguments.ts'
import { integerOf } from '../arguments/same-value.ts'
import type { FieldTable } from '../value.ts'

/** What happens to a publish that would make the queue too long. */
export type Overflow = 'drop-head' | 'reject-publish' | 'reject-publish-dlx'

/** The values that hold for a queue. Numbers that set no limit are Infinity; milliseconds that are not set are -1. */
export interface QueueRules {
  readonly type: 'classic' | 'quorum'
  /** Ready messages, and the bytes of their bodies. */
  readonly maxLength: number
  readonly maxLengthBytes: number
  readonly overflow: Overflow
  /** Where messages go that the queue gives up; null: nowhere. The empty name is the default exchange. */
  readonly deadLetterExchange: string | null
  /** With which key; null: with their own. */
  readonly deadLetterRoutingKey: string | null
}

/** The rules that a queue's arguments ask for. The arguments are valid. */
export function queueRules(args: FieldTable): QueueRules {
  return {
    type: queueTypeOf(args) === 'quorum' ? 'quorum' : 'classic',
    maxLength: number(args, 'x-max-length', Infinity),
    maxLengthBytes: number(args, 'x-max-length-bytes', Infinity),
    overflow: (text(args, 'x-overflow') ?? 'drop-head') as Overflow,
    deadLetterExchange: text(args, 'x-dead-letter-exchange'),
    deadLetterRoutingKey: text(args, 'x-dead-letter-routing-key'),
  }
}

/** Whether the queue must not become longer than some limit. */
export function limitsLength(rules: QueueRules): boolean {
  return rules.maxLength < Infinity || rules.maxLengthBytes < Infinity
}

function number(args: FieldTable, key: string, absent: number): number {
  const value = args.get(key)
  const integer = value === undefined ? undefined : integerOf(value)
  return integer === undefined ? absent : Number(integer)
}

function text(args: FieldTable, key: string): string | null {
  const value = args.get(key)
  return value?.type === 'longstr' ? value.value : null
}
