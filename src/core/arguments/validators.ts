// Checks of one argument's value. Each returns nothing, or what is wrong as the Erlang term of RabbitMQ's text.
import type { FieldTable, FieldValue } from '../value.ts'
import { integerOf } from './same-value.ts'

/** Checks a value; some also look at the arguments that came with it. */
export type Validator = (value: FieldValue, args: FieldTable) => string | undefined

/** Ten years, the longest time that RabbitMQ's timers take. */
const DURATION_MS_MAX = 315_360_000_000

export const anyValue: Validator = () => undefined

export const integer: Validator = (value) => {
  return integerOf(value) === undefined ? `"expected integer, got ${value.type}"` : undefined
}

/** An integer from `low` to `high`; below, it is negative or zero, and above it is `tooLarge`. */
export function integerBetween(low: 0 | 1, high = Infinity, tooLarge = 'value_too_large'): Validator {
  return (value, args) => {
    const number = integerOf(value)
    if (number === undefined) return integer(value, args)
    if (number < 0) return `{value_negative,${number}}`
    if (number < low) return `{value_zero,${number}}`
    if (number > high) return `{${tooLarge},${number}}`
    return undefined
  }
}

export const durationMs = integerBetween(0, DURATION_MS_MAX)

export const positiveDurationMs = integerBetween(1, DURATION_MS_MAX)

/** A value of one type and no other that is like it. */
export function ofType(type: FieldValue['type']): Validator {
  return (value) => (value.type === type ? undefined : `{unacceptable_type,${value.type}}`)
}

/** One of some strings; `otherwise` is the term for all others. */
export function oneOf(words: readonly string[], otherwise: string): Validator {
  return (value) => {
    if (value.type !== 'longstr') return `{unacceptable_type,${value.type}}`
    return words.includes(value.value) ? undefined : otherwise
  }
}
