// Which part of the source may import which: the table of docs/architecture.md, as a positive list.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { describe, expect, it } from 'vitest'

const SOURCES = join(import.meta.dirname, '..', 'src')

interface Part {
  /** The parts that it may import, beside itself. */
  readonly parts: readonly string[]
  /** The packages that it may import. */
  readonly packages: readonly (string | RegExp)[]
}

/** A part is a folder (the longest that fits counts) or a file right under src. What is not listed may nothing. */
const TABLE: Readonly<Record<string, Part>> = {
  lib: { parts: [], packages: [/^node:/] },
  'amqp/wire': { parts: [], packages: ['node:buffer'] },
  net: { parts: ['lib'], packages: ['node:net', 'node:tls', 'node:crypto', 'node:fs/promises'] },
  core: { parts: ['lib'], packages: ['node:crypto', 'node:assert/strict', 'node:buffer'] },
  amqp: { parts: ['amqp/wire', 'net', 'core', 'lib'], packages: [/^node:/] },
  ctl: { parts: ['lib'], packages: [/^node:/, 'yargs', 'amqplib'] },
  management: { parts: ['core', 'lib'], packages: [/^node:/, 'fastify'] },
  store: { parts: ['core', 'lib'], packages: [/^node:/, 'level', 'abstract-level'] },
  config: { parts: ['lib'], packages: [/^node:/, 'yaml'] },
  'listeners.ts': { parts: ['amqp', 'net', 'management', 'lib'], packages: [/^node:/] },
  'server.ts': { parts: ['running-server.ts', 'listeners.ts', 'core', 'store', 'management', 'lib'], packages: [] },
  'running-server.ts': {
    parts: ['server.ts', 'listeners.ts', 'amqp', 'amqp/wire', 'net', 'core', 'management', 'lib'],
    packages: [/^node:/],
  },
  'exit.ts': { parts: [], packages: [] },
  'process-log.ts': { parts: ['config', 'lib'], packages: [/^node:/, 'pino', 'pino-pretty'] },
  'start.ts': { parts: ['process-log.ts', 'server.ts', 'config', 'lib', 'exit.ts'], packages: [/^node:/] },
  'command-line.ts': { parts: ['start.ts', 'config', 'ctl', 'lib'], packages: [/^node:/, 'yargs'] },
  'main.ts': { parts: ['start.ts', 'command-line.ts', 'config', 'exit.ts'], packages: [/^node:/] },
}

/** One import: the file that it stands in, and what it names. */
interface Import {
  readonly file: string
  readonly specifier: string
}

describe('the structure of the source', () => {
  const imports = sourceFiles().flatMap(importsOf)

  it('is read: the imports of every file are found', () => {
    expect(sourceFiles().length).toBeGreaterThan(20)
    const mentions = sourceFiles().flatMap((file) => source(file).match(/ from '[^']+'$|\bimport\('[^']+'\)/gm) ?? [])
    expect(imports.length).toBe(mentions.length)
  })

  it('imports only what the table allows', () => {
    expect(imports.filter((one) => !allowed(one)).map(({ file, specifier }) => `${file}: ${specifier}`)).toEqual([])
  })

  it('has a row in the table for every part, and none for what is gone', () => {
    const parts = new Set(sourceFiles().map(partOf))
    expect([...parts].toSorted()).toEqual(Object.keys(TABLE).toSorted())
  })

  it('would notice an import against the table', () => {
    expect(allowed({ file: 'core/queue/queue.ts', specifier: '../../amqp/wire/text.ts' })).toBe(false)
    expect(allowed({ file: 'core/queue/queue.ts', specifier: '../message.ts' })).toBe(true)
    expect(allowed({ file: 'core/queue/queue.ts', specifier: 'node:net' })).toBe(false)
    expect(allowed({ file: 'amqp/wire/text.ts', specifier: '../errors.ts' })).toBe(false)
    expect(allowed({ file: 'amqp/channel.ts', specifier: '../server.ts' })).toBe(false)
    expect(importsOf('core/ports.ts').map(({ specifier }) => specifier)).toContain('./queue/entry.ts')
  })
})

function allowed({ file, specifier }: Import): boolean {
  const from = partOf(file)
  const rule = TABLE[from]
  if (!rule) return false
  if (!specifier.startsWith('.')) {
    return rule.packages.some((name) => (typeof name === 'string' ? name === specifier : name.test(specifier)))
  }
  const to = partOf(join(dirname(file), specifier).split(sep).join('/'))
  return to === from || rule.parts.includes(to)
}

/** The part that a file belongs to: the longest row of the table that it lies in, or else its first folder. */
function partOf(file: string): string {
  const rows = Object.keys(TABLE).filter((part) => file === part || file.startsWith(`${part}/`))
  return rows.toSorted((a, b) => b.length - a.length)[0] ?? file.split('/')[0]!
}

function sourceFiles(): string[] {
  return readdirSync(SOURCES, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(SOURCES, join(entry.parentPath, entry.name)).split(sep).join('/'))
}

function source(file: string): string {
  return readFileSync(join(SOURCES, file), 'utf8')
}

/** The imports of a file: `import ... from`, `export ... from`, `import '...'` and `import('...')`. */
function importsOf(file: string): Import[] {
  const expression =
    /^(?:(?:import|export)\b[^'"`;]*?\bfrom\s*|import\s*|\} from\s*)'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/gm
  return [...source(file).matchAll(expression)].map((match) => ({ file, specifier: match[1] ?? match[2]! }))
}
