// The kinds of settings: what each takes, and how a raw value from a file, the environment or a flag is read.
import { nearest } from '../lib/nearest.ts'
import { Pattern } from '../lib/pattern.ts'
import { PatternError } from '../lib/pattern/parse.ts'

/** Something is wrong with the configuration. The message is one sentence for the operator. */
export class ConfigError extends Error {
  constructor(sentence: string, options?: ErrorOptions) {
    super(sentence, options)
    this.name = 'ConfigError'
  }
}

/** What is wrong with one value, as the end of a sentence that names it. */
export class ValueError extends Error {
  constructor(complaint: string, options?: ErrorOptions) {
    super(complaint, options)
    this.name = 'ValueError'
  }
}

/** One thing that can be configured. */
export interface Setting<T> {
  /** What it is for: one or more sentences, for the help and the documentation. */
  readonly purpose: string
  /** What values it takes, in words that complete "must be ...". */
  readonly takes: string
  readonly default: T
  /** The default in words, where the value does not say it. */
  readonly defaultWords?: string
  readonly unit?: 'bytes' | 'seconds' | 'milliseconds'
  /** Another environment variable that is understood: RabbitMQ's. Leveret's own comes before it. */
  readonly alias?: string
  /** Whether the value must not be shown; of records, whether some of their fields must not. */
  readonly secret?: boolean
  /** What each record of the value has, where it is records. */
  readonly fields?: Fields
  /** Reads a raw value. @throws ValueError */
  read(raw: unknown): T
}

/** What a record has: settings of their own, by their key. */
export type Fields = Readonly<Record<string, Setting<unknown>>>
/** The values of a record. */
export type RecordOf<F extends Fields> = { readonly [K in keyof F]: F[K] extends Setting<infer T> ? T : never }

/** What the makers below leave to the table. */
type About<T> = Omit<Setting<T>, 'takes' | 'read'> & { readonly takes?: string }

/** A regular expression, which may be empty. */
export function expression(about: About<string>): Setting<string> {
  return {
    ...about,
    takes: 'a regular expression',
    read(raw) {
      if (typeof raw !== 'string') throw new ValueError('must be a regular expression')
      try {
        return new Pattern(raw).source
      } catch (error) {
        if (!(error instanceof PatternError)) throw error
        throw new ValueError(`must be a regular expression: ${error.message}`, { cause: error })
      }
    },
  }
}

/** A text that is not empty. */
export function text<T extends string | null>(about: About<T>): Setting<T | string> {
  const takes = about.takes ?? 'a text that is not empty'
  return {
    ...about,
    takes,
    read(raw) {
      if (typeof raw === 'number') return String(raw)
      if (typeof raw === 'string' && raw !== '') return raw
      throw new ValueError(`must be ${takes}`)
    },
  }
}

/** A path of URLs, of parts that need no encoding. */
export function urlPath(about: About<string>): Setting<string> {
  const takes = 'a path such as /metrics, of letters, digits and -._~'
  return {
    ...about,
    takes,
    read(raw) {
      if (typeof raw === 'string' && /^(\/[\w.~-]+)*\/?$/.test(raw) && raw !== '') return raw
      throw new ValueError(`must be ${takes}`)
    },
  }
}

/** A whole number within bounds, written in decimal digits. */
export function wholeNumber(about: About<number> & { readonly least: number; readonly most: number }): Setting<number> {
  const { least, most, ...rest } = about
  const unit = about.unit === undefined ? '' : ` of ${about.unit}`
  const takes = `a whole number${unit} from ${least} to ${most}`
  return {
    ...rest,
    takes,
    read(raw) {
      const number =
        typeof raw === 'number' || (typeof raw === 'string' && /^\d+$/.test(raw.trim())) ? Number(raw) : NaN
      if (Number.isInteger(number) && number >= least && number <= most) return number
      const close = Math.min(Math.max(Math.round(parseFloat(String(raw))), least), most)
      throw new ValueError(`must be ${takes}${Number.isNaN(close) ? '' : `; the nearest is ${close}`}`)
    },
  }
}

/** The number of a port; null when nothing is to listen there. */
export function port(about: About<number | null>): Setting<number | null> {
  const number = wholeNumber({ ...about, default: 0, least: 0, most: 65_535 })
  const takes = `${number.takes}, or none`
  return {
    ...about,
    takes,
    read(raw) {
      if (raw === 'none') return null
      try {
        return number.read(raw)
      } catch (error) {
        if (!(error instanceof ValueError)) throw error
        throw new ValueError(error.message.replace(number.takes, takes))
      }
    },
  }
}

/** A share of a whole (0 to 1, decimals allowed), or a whole number of bytes, at least so many. */
export function amount(about: About<number> & { readonly least: number; readonly most: number }): Setting<number> {
  const { least, most, ...rest } = about
  const takes = `a share from 0 to 1, or a whole number of bytes from ${least} to ${most}`
  return {
    ...rest,
    takes,
    read(raw) {
      const written = typeof raw === 'number' ? String(raw) : raw
      const number = typeof written === 'string' && /^\d+(\.\d+)?$/.test(written.trim()) ? Number(written) : NaN
      if (number <= 1 || (number >= least && number <= most && Number.isInteger(number))) return number
      throw new ValueError(`must be ${takes}`)
    },
  }
}

/** One of a few words. */
export function choice<const W extends string>(about: About<W> & { readonly words: readonly W[] }): Setting<W> {
  const { words, ...rest } = about
  const takes = `one of ${words.join(', ')}`
  return {
    ...rest,
    takes,
    read(raw) {
      const word = words.find((candidate) => candidate === raw)
      if (word !== undefined) return word
      throw new ValueError(`must be ${takes}; did you mean ${nearest(String(raw), words)}?`)
    },
  }
}

/** Some of a few words, at least one. */
export function choiceList<const W extends string, D extends readonly W[] | null = readonly W[]>(
  about: About<D> & { readonly words: readonly W[] },
): Setting<readonly W[] | D> {
  const { words, ...rest } = about
  const takes = `some of ${words.join(', ')}, as a list or separated by commas`
  const list = names({ ...rest, default: [] })
  return {
    ...rest,
    takes,
    read(raw) {
      const chosen = list.read(raw)
      const stray = chosen.find((name) => !words.some((word) => word === name))
      if (stray !== undefined) throw new ValueError(`must be ${takes}; did you mean ${nearest(stray, words)}?`)
      if (chosen.length === 0) throw new ValueError(`must be ${takes}`)
      return words.filter((word) => chosen.includes(word))
    },
  }
}

/** Yes or no. */
export function flag(about: About<boolean>): Setting<boolean> {
  const takes = 'true or false'
  return {
    ...about,
    takes,
    read(raw) {
      if (raw === true || raw === 'true') return true
      if (raw === false || raw === 'false') return false
      throw new ValueError(`must be ${takes}`)
    },
  }
}

/** An address and a port to listen on. */
export interface Address {
  /** null for every interface. */
  readonly host: string | null
  readonly port: number
}

/** Reads `5672`, `127.0.0.1:5672`, `::1:5672` or `[::1]:5672`; null for anything else. */
export function addressOf(written: string): Address | null {
  const [, bracketed, plain, number] = /^(?:(?:\[(.+)\]|([^/]+)):)?(\d{1,5})$/.exec(written) ?? []
  if (number === undefined || Number(number) > 65_535) return null
  return { host: bracketed ?? plain ?? null, port: Number(number) }
}

/** The addresses of a setting of the kind below. */
export function addressesOf(list: readonly string[]): readonly Address[] {
  return list.map(addressOf).filter((address) => address !== null)
}

/** Addresses with their ports, as they are written: a list in a file, separated by commas elsewhere; none when empty. */
export function addresses(about: About<readonly string[]>): Setting<readonly string[]> {
  const takes =
    'a list of ports, each with an address, as 127.0.0.1:5673 or [::1]:5673, or without one for every interface'
  const list = names({ ...about, default: [] })
  return {
    ...about,
    takes,
    read(raw) {
      const written = list.read(typeof raw === 'number' ? String(raw) : raw)
      if (addressesOf(written).length < written.length) throw new ValueError(`must be ${takes}`)
      return written
    },
  }
}

/** A setting that need not be given where it is asked for: its default is nothing. */
export function optional<T>(setting: Setting<T>): Setting<T | null> {
  return { ...setting, default: null, defaultWords: 'none' }
}

/** Records by name: a mapping of mappings in a file, the same as JSON elsewhere. */
export function records<const F extends Fields>(
  about: Omit<About<never>, 'default' | 'fields'> & { readonly fields: F },
): Setting<Readonly<Record<string, RecordOf<F>>>> {
  const takes = 'a mapping of names to mappings, the same as JSON, or none'
  return {
    ...about,
    takes,
    default: {},
    defaultWords: 'none',
    secret: Object.values(about.fields).some(({ secret }) => secret === true),
    read(raw) {
      const given = typeof raw === 'string' ? parseJson(raw, takes) : raw
      if (!isMapping(given)) throw new ValueError(`must be ${takes}`)
      const read = Object.entries(given).map(([name, record]) => {
        if (name === '' || !isMapping(record ?? {})) throw new ValueError(`must be ${takes}`)
        return [name, readRecord(about.fields, name, record ?? {})] as const
      })
      return Object.fromEntries(read)
    },
  }
}

function readRecord<F extends Fields>(fields: F, name: string, record: object): RecordOf<F> {
  const given = new Map<string, unknown>(Object.entries(record))
  const stray = [...given.keys()].find((key) => !Object.hasOwn(fields, key))
  if (stray !== undefined) {
    throw new ValueError(`has no place for ${stray} in ${name}; did you mean ${nearest(stray, Object.keys(fields))}?`)
  }
  const values = Object.entries(fields).map(([key, field]) => {
    const raw = given.get(key) ?? null
    try {
      return [key, raw === null ? field.default : field.read(raw)]
    } catch (error) {
      if (!(error instanceof ValueError)) throw error
      throw new ValueError(`has a wrong ${key} in ${name}, which ${error.message}`, { cause: error })
    }
  })
  // Every field has been through its own setting's read().
  return Object.fromEntries(values) as RecordOf<F>
}

function parseJson(json: string, takes: string): unknown {
  if (json === 'none') return {}
  try {
    return JSON.parse(json)
  } catch (error) {
    throw new ValueError(`must be ${takes}`, { cause: error })
  }
}

function isMapping(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Names: a list in a file, separated by commas elsewhere; none when empty. */
export function names(about: About<readonly string[]>): Setting<readonly string[]> {
  const takes = 'a list of names, or names separated by commas'
  return {
    ...about,
    takes,
    read(raw) {
      const items: readonly unknown[] | null =
        typeof raw === 'string' ? raw.split(',') : Array.isArray(raw) ? raw : null
      if (!items?.every((item) => typeof item === 'string')) throw new ValueError(`must be ${takes}`)
      return items.map((name) => name.trim()).filter((name) => name !== '')
    },
  }
}
