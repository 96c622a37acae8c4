// Data directories that cannot be used: one sentence and an exit code of 1, and nothing that was there is touched.
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Level } from 'level'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startServer } from '../../src/server.ts'
import { Kind, kindKey } from '../../src/store/level/keys.ts'
import { encodeNumber } from '../../src/store/level/records.ts'
import { readOnlyView, whyNoMounts } from '../support/mount.ts'
import { ANY_PORTS, Program } from '../support/program.ts'
import { RawClient } from '../support/raw-client.ts'
import { temporaryDirectory } from '../support/store.ts'

/** What LevelDB writes before it looks at anything. */
const NOISE = new Set(['LOCK', 'LOG', 'LOG.old'])

/** The sentence with which the program refuses a data directory, or, with a code of 2, what it was told beside that. */
async function refusal(dataDir: string, words: readonly string[] = [], exitCode = 1): Promise<string> {
  const program = new Program(['start', '--data-dir', dataDir, ...ANY_PORTS, '--log-level', 'silent', ...words])
  onTestFinished(() => program.kill())
  const { code, output, errors } = await program.outcome()
  expect({ code, output }).toEqual({ code: exitCode, output: '' })
  return /^leveret: (.*)\n$/.exec(errors)?.[1] ?? `not one sentence: ${errors}`
}

/** A data directory with a queue and a message in it, whose broker was stopped. */
async function usedDirectory(): Promise<string> {
  const dataDir = join(await temporaryDirectory(), 'data')
  const server = await startServer({ dataDir, host: '127.0.0.1' })
  const client = await RawClient.open(server.ports.amqp)
  const channel = await client.openChannel()
  await channel.queue('q', { durable: true })
  await channel.call('confirm.select')
  channel.publish({ 'routing-key': 'q' }, 'precious', { 'delivery-mode': 2 })
  await channel.expect('basic.ack')
  await client.close()
  await server.close()
  return dataDir
}

/** All files and what is in them, by path. */
function contents(directory: string): Map<string, string> {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => !NOISE.has(name))
  const files = names.filter((name) => statSync(join(directory, name)).isFile())
  return new Map(files.map((name) => [name, readFileSync(join(directory, name), 'latin1')]))
}

/** The message is where it was: the broker starts and gives it out. */
async function expectServed(dataDir: string): Promise<void> {
  const server = await startServer({ dataDir, host: '127.0.0.1' })
  onTestFinished(() => server.close())
  const channel = await (await RawClient.open(server.ports.amqp)).openChannel()
  onTestFinished(() => channel.client.drop())
  expect((await channel.get('q')).body.toString()).toBe('precious')
}

function openLevel(location: string): Level<Buffer, Buffer> {
  return new Level(location, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
}

describe('a data directory', () => {
  it('that is a file', async () => {
    const file = join(await temporaryDirectory(), 'file')
    writeFileSync(file, 'precious')
    expect(await refusal(file)).toBe(`The data directory ${file} is a file, not a directory.`)
    expect(readFileSync(file, 'utf8')).toBe('precious')
  })

  it('below a file', async () => {
    const file = join(await temporaryDirectory(), 'file')
    writeFileSync(file, 'precious')
    const below = join(file, 'a', 'b')
    expect(await refusal(below)).toBe(`The data directory ${below} cannot be made: a part of its path is a file.`)
    expect(readFileSync(file, 'utf8')).toBe('precious')
  })

  it.skipIf(whyNoMounts !== '')(`that can only be read${whyNoMounts && ` (skipped: ${whyNoMounts})`}`, async () => {
    const dataDir = await usedDirectory()
    const view = readOnlyView(dataDir)
    const before = contents(dataDir)
    expect(await refusal(view)).toBe(`The data directory ${view} is not writable.`)
    expect(await refusal(join(view, 'new'))).toBe(`The data directory ${join(view, 'new')} is not writable.`)
    expect(contents(dataDir)).toEqual(before)
    await expectServed(dataDir)
  })

  it('that another broker uses, which goes on', async () => {
    const dataDir = await usedDirectory()
    const server = await startServer({ dataDir, host: '127.0.0.1' })
    expect(await refusal(dataDir)).toBe(`The data directory ${dataDir} is in use by another broker.`)
    const channel = await (await RawClient.open(server.ports.amqp)).openChannel()
    channel.publish({ 'routing-key': 'q' }, 'second', { 'delivery-mode': 2 })
    expect((await channel.get('q', true)).body.toString()).toBe('precious')
    expect((await channel.get('q', true)).body.toString()).toBe('second')
    await channel.client.close()
    await server.close()
  })

  it('from a newer version', async () => {
    const dataDir = await usedDirectory()
    const level = openLevel(dataDir)
    const format = await level.get(kindKey(Kind.format))
    await level.put(kindKey(Kind.format), encodeNumber(99))
    await level.put(Buffer.from('~ of that version'), Buffer.from('precious'))
    const before = await level.iterator().all()
    await level.close()
    expect(await refusal(dataDir)).toMatch(
      /^The store in \S+ was written by a newer version of Leveret: its format is 99, this version reads up to \d+\.$/,
    )
    await level.open()
    expect(await level.iterator().all()).toEqual(before)
    await level.put(kindKey(Kind.format), format)
    await level.del(Buffer.from('~ of that version'))
    await level.close()
    await expectServed(dataDir)
  })

  it("with somebody else's database", async () => {
    const location = await temporaryDirectory()
    const level = openLevel(location)
    await level.put(Buffer.from('of somebody'), Buffer.from('else'))
    await level.close()
    expect(await refusal(location)).toBe(`The directory ${location} holds a database that is not Leveret's.`)
    await level.open()
    expect(await level.iterator().all()).toEqual([[Buffer.from('of somebody'), Buffer.from('else')]])
    await level.close()
  })

  it.each([
    ['CURRENT is gone', (dataDir: string) => rmSync(join(dataDir, 'CURRENT'))],
    ['CURRENT names nothing', (dataDir: string) => writeFileSync(join(dataDir, 'CURRENT'), 'MANIFEST-\n\u0007\n')],
    ['the manifest is gone', (dataDir: string) => rmSync(join(dataDir, named(dataDir, /^MANIFEST/)))],
    ['the manifest is empty', (dataDir: string) => writeFileSync(join(dataDir, named(dataDir, /^MANIFEST/)), '')],
    ['a table is gone', (dataDir: string) => rmSync(join(dataDir, named(dataDir, /\.ldb$/)))],
  ])('of which %s', async (_, damage) => {
    const dataDir = await usedDirectory()
    // Opened once more, the journal becomes a table.
    await (await startServer({ dataDir, host: '127.0.0.1' })).close()
    damage(dataDir)
    const before = contents(dataDir)
    expect(await refusal(dataDir)).toMatch(new RegExp(`^The store in ${dataDir} is damaged: \\P{Cc}+\\.$`, 'u'))
    expect(contents(dataDir)).toEqual(before)
  })

  it.each([
    ['--memory-limit', '1.5'],
    // Meant as a share of a hundred.
    ['--memory-limit', '60'],
    ['--disk-free-limit', 'lots'],
    ['--max-message-size', '0'],
  ])('is left alone when a limit makes no sense: %s %s', async (limit, value) => {
    const dataDir = await usedDirectory()
    const before = contents(dataDir)
    expect(await refusal(dataDir, [limit, value], 2)).toMatch(
      new RegExp(`^the value "${value}" of ${limit} is not right: it must be .*bytes`),
    )
    expect(contents(dataDir)).toEqual(before)
    const fresh = join(await temporaryDirectory(), 'fresh')
    await refusal(fresh, [limit, value], 2)
    expect(existsSync(fresh)).toBe(false)
  })

  it('with files and directories of others in it is used, and those are left alone', async () => {
    const dataDir = await usedDirectory()
    mkdirSync(join(dataDir, 'lost+found'))
    writeFileSync(join(dataDir, 'notes.txt'), 'precious')
    writeFileSync(join(dataDir, 'access.log'), 'precious')
    await expectServed(dataDir)
    expect(existsSync(join(dataDir, 'lost+found'))).toBe(true)
    expect(readFileSync(join(dataDir, 'notes.txt'), 'utf8')).toBe('precious')
    expect(readFileSync(join(dataDir, 'access.log'), 'utf8')).toBe('precious')
  })

  it("without a database, but with somebody's files that are named as LevelDB's are", async () => {
    const location = await temporaryDirectory()
    writeFileSync(join(location, '20261123.log'), 'precious')
    expect(await refusal(location)).toBe(
      `The store in ${location} is damaged: there is 20261123.log, but no file CURRENT.`,
    )
    expect(contents(location)).toEqual(new Map([['20261123.log', 'precious']]))
  })
})

function named(directory: string, pattern: RegExp): string {
  return readdirSync(directory).find((name) => pattern.test(name))!
}
