// Writes the settings down for people: docs/configuration.md, the values that hold, and what the help says.
import { KEYS, setting, variable, type Key } from './schema.ts'
import type { Config } from './config.ts'
import type { Fields, Setting } from './setting.ts'

const HIDDEN = '(not shown)'

/** The text of docs/configuration.md. */
export function configurationDocument(): string {
  return [
    '# Configuration',
    '',
    'Leveret starts without any configuration. Each setting has one key, and can be given',
    '',
    '1. as a flag: `leveret start --port 5673`,',
    '2. as an environment variable: `LEVERET_PORT=5673`,',
    '3. in a YAML file that `--config FILE` (or `LEVERET_CONFIG`) names: `port: 5673`.',
    '',
    "`--rabbitmq-conf FILE` (or `LEVERET_RABBITMQ_CONF`) names RabbitMQ's own `rabbitmq.conf`, or a directory of such",
    'files. What in it has a meaning here is taken before the defaults, the rest is named in the log and ignored.',
    '',
    'A flag comes before a variable, a variable before the file, and the file before the default. A key that does not',
    'exist, or a value that is not right, keeps the broker from starting; it says which, and what comes nearest.',
    '`leveret config`, with the same flags, prints the values that hold and where each of them comes from.',
    '',
    'This page is made from the settings in `src/config/schema.ts`; a test compares.',
    ...KEYS.flatMap(chapter),
    '',
  ].join('\n')
}

/** What the help says about a setting. */
export function helpLine(key: Key): string {
  const { purpose, unit, takes } = setting(key)
  if (unit) return `${purpose} In ${unit}.`
  return takes.startsWith('one of') ? `${purpose} (${takes})` : purpose
}

/** The values that hold, as a file that could be given back, with the source of each. Secrets are left out. */
export function effectiveDocument(config: Config): string {
  const lines = KEYS.map((key) => {
    return { line: `${key}: ${shown(key, config.values[key])}`, source: config.sources[key] }
  })
  const width = Math.max(...lines.map(({ line }) => line.length))
  const ignored = config.ignored.map((what) => `# means nothing here: ${what}\n`)
  return lines.map(({ line, source }) => `${line.padEnd(width)}  # ${source}\n`).join('') + ignored.join('')
}

function shown(key: Key, value: unknown): string {
  const { fields, secret } = setting(key)
  if (fields !== undefined)
    return JSON.stringify(value, (name, one: unknown) => (hidden(fields, name, one) ? HIDDEN : one))
  if (secret) return JSON.stringify(HIDDEN)
  // A file says it by a word: a key without a value has its default.
  return value === null && setting(key).default !== null ? 'none' : JSON.stringify(value)
}

/** Whether this is the value of a field that must not be shown, and there is one. Names of records have mappings. */
function hidden(fields: Fields, name: string, value: unknown): boolean {
  return typeof value === 'string' && Object.hasOwn(fields, name) && fields[name]!.secret === true
}

/** A default as the documentation and the help show it. */
export function defaultWords(key: Key): string {
  return wordsOf(setting(key))
}

function wordsOf({ defaultWords: words, default: value }: Setting<unknown>): string {
  return words ?? (Array.isArray(value) ? value.join(',') : String(value))
}

function chapter(key: Key): string[] {
  const { purpose, takes, alias, defaultWords: words, fields } = setting(key)
  const variables = [variable(key), ...(alias === undefined ? [] : [alias])]
  return [
    '',
    `## ${key}`,
    '',
    purpose,
    '',
    `- Takes ${takes}.`,
    `- Default: ${words ?? `\`${defaultWords(key)}\``}.`,
    `- Flag \`--${key}\`, ${variables.length > 1 ? 'variables' : 'variable'} ${variables.map((name) => `\`${name}\``).join(' or ')}.`,
    ...(fields === undefined ? [] : ['', 'Each may have:', '', ...Object.entries(fields).map(fieldLine)]),
  ]
}

function fieldLine([key, field]: readonly [string, Setting<unknown>]): string {
  const { purpose, takes, defaultWords: words } = field
  return `- \`${key}\`: ${purpose} Takes ${takes}. Default: ${words ?? `\`${wordsOf(field)}\``}.`
}
