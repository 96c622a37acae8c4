// The program: its command line, its ready line, its signals, and what it says when it cannot start.
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { VERSION } from '../src/lib/version.ts'
import { ANY_PORTS, Program, type Outcome } from './support/program.ts'

let directory: string
let programs: Program[]

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'leveret-main-'))
  programs = []
})
afterEach(async () => {
  await Promise.all(programs.map((program) => program.kill()))
  rmSync(directory, { recursive: true })
})

function run(words: readonly string[], environment: Record<string, string> = {}): Program {
  const program = new Program(words, environment)
  programs.push(program)
  return program
}

function start(...words: string[]): Program {
  return run(['start', '--data-dir', join(directory, 'data'), '--host', '127.0.0.1', ...ANY_PORTS, ...words])
}

function startEverywhere(): Program {
  return run(['start', '--data-dir', join(directory, 'data'), ...ANY_PORTS])
}

function outcome(...words: string[]): Promise<Outcome> {
  return run(words).outcome()
}

describe('the command line', () => {
  it('helps, with examples and every option', async () => {
    const { code, output } = await outcome('--help')
    expect(code).toBe(0)
    expect(output).toContain('leveret start --data-dir /var/lib/leveret --port 5673')
    const help = await outcome('start', '--help')
    expect(help.output).toMatch(/--max-message-size [^-]*\bbytes\b/)
    expect(help.code).toBe(0)
  })

  it('passes all words behind ctl on, as they are', async () => {
    const management = / management (\d+)/.exec(await start().firstLine())?.[1]
    const ctl = (...words: string[]): Promise<Outcome> =>
      outcome('ctl', ...words, '--url', `http://127.0.0.1:${management}`)
    expect(await ctl('add_user', '007', 'secret')).toEqual({ code: 0, output: '', errors: '' })
    const { output } = await ctl('list_users', '--json')
    expect(JSON.parse(output)).toContainEqual(expect.objectContaining({ user: '007' }))
    expect((await ctl('list_queues', 'name', 'messages', 'consumers')).output).toMatch(/^name +messages +consumers\n$/)
  })

  it('brings definitions over, and says in one line what it was not told', async () => {
    const management = / management (\d+)/.exec(await start().firstLine())?.[1]
    const api = `http://guest:guest@127.0.0.1:${management}`
    const { code, output } = await outcome('import', '--from', api, '--url', api)
    expect(output).toMatch(/^what +count\nusers +1\nvhosts +1\n/)
    expect(code).toBe(0)
    const refused = await outcome('drain-from', 'http://rabbit')
    expect(refused).toMatchObject({ code: 64, errors: expect.stringMatching(/^leveret: drain-from takes a URL .*\n$/) })
  })

  it('completes commands in the shell', async () => {
    const script: unknown = expect.stringContaining('--get-yargs-completions')
    expect(await outcome('completion')).toEqual({ code: 0, output: script, errors: '' })
    const complete = async (...words: string[]): Promise<string[]> => {
      const { output } = await outcome('--get-yargs-completions', 'leveret', ...words)
      return output.trimEnd().split('\n')
    }
    expect(await complete('')).toContain('drain-from')
    expect(await complete('ctl', 'list_q')).toContain('list_queues')
    expect(await complete('ctl', 'help', 'list_q')).toContain('list_queues')
    expect(await complete('ctl', 'delete_queue', '--i')).toEqual(expect.arrayContaining(['--if-empty', '--vhost']))
    expect(await complete('ctl', 'delete_queue', '')).not.toContain('list_queues')
    expect(await complete('start', '--da')).toContain('--data-dir')
  })

  it('tells its version', async () => {
    expect(await outcome('--version')).toEqual({ code: 0, output: `${VERSION}\n`, errors: '' })
  })

  it.each([
    [['start', '--prot', '5672'], 'there is no option --prot; did you mean --port?'],
    [['start', '--log-level', 'debgu'], 'the value "debgu" of --log-level is not right: it must be one of '],
    [['start', 'now'], 'there is no use for "now" on the command line'],
    [['strat'], 'there is no command strat; did you mean start?'],
    [[], 'a command is missing: start, config, ctl, import, drain-from, completion; see leveret --help'],
  ])('says what is wrong with %j in one line, and exits with 2', async (words, sentence) => {
    const { code, output, errors } = await outcome(...words)
    expect(errors).toMatch(/^leveret: .*\n$/)
    expect(errors).toContain(sentence)
    expect(output).toBe('')
    expect(code).toBe(2)
  })

  it('prints the settings that hold, and where they come from', async () => {
    const file = join(directory, 'leveret.yaml')
    writeFileSync(file, 'heartbeat: 5\n')
    const program = run(['config', '--config', file, '--port', '1'], { LEVERET_HOST: '::1' })
    const { output, code } = await program.outcome()
    expect(code).toBe(0)
    expect(output).toMatch(/^port: 1 +# --port$/m)
    expect(output).toMatch(/^host: "::1" +# LEVERET_HOST$/m)
    expect(output).toMatch(/^heartbeat: 5 +# heartbeat in .*leveret\.yaml$/m)
  })
})

describe('leveret start', () => {
  it('prints one line when it accepts connections, and only logs on standard error, as JSON', async () => {
    const program = start()
    expect(await program.firstLine()).toMatch(
      new RegExp(`^leveret ${VERSION.replaceAll('.', '\\.')} ready: amqp \\d+, management \\d+, prometheus \\d+$`),
    )
    expect(await greeting(await program.port())).toBe('\x01')
    program.signal('SIGTERM')
    const { output, errors } = await program.outcome()
    expect(output.split('\n')).toHaveLength(2)
    const levels = errors
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { level: unknown }).level)
    expect(levels.length).toBeGreaterThan(0)
    expect(new Set(levels.map((level) => typeof level))).toEqual(new Set(['number']))
  })

  it.each(['SIGTERM', 'SIGINT'] as const)('stops in order at %s, with a client connected', async (signal) => {
    const program = start()
    const socket = connect(await program.port(), '127.0.0.1')
    await once(socket, 'connect')
    const closed = once(socket, 'close')
    const from = performance.now()
    program.signal(signal)
    expect((await program.outcome()).code).toBe(0)
    expect(performance.now() - from).toBeLessThan(10_000)
    await closed
  })

  it('stops in order when an administrator asks for it over HTTP', async () => {
    const program = start()
    const [, management] = /management (\d+)/.exec(await program.firstLine())!
    const api = `http://127.0.0.1:${management}/api`
    const headers = { authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}` }
    const { node } = (await (await fetch(`${api}/overview`, { headers })).json()) as { node: string }
    const answer = await fetch(`${api}/nodes/${node}/stop`, { method: 'PUT', headers })
    expect(answer.status).toBe(204)
    const { code, errors } = await program.outcome()
    expect(code).toBe(0)
    expect(errors).toContain('told to stop')
  })

  it('listens on every interface when no host is named', async () => {
    expect(await greeting(await startEverywhere().port(), '127.0.0.1')).toBe('\x01')
  })

  it.skipIf(!ipv6())('listens on IPv6 too (where the machine has it)', async () => {
    expect(await greeting(await startEverywhere().port(), '::1')).toBe('\x01')
  })

  it('writes a readable log when asked to', async () => {
    const program = start('--log-format', 'pretty', '--log-level', 'debug')
    await program.firstLine()
    program.signal('SIGTERM')
    expect((await program.outcome()).errors).toMatch(/INFO.*told to stop/)
  })

  it('logs what is to be logged, also when that changes', async () => {
    const program = start('--log-level', 'error')
    const management = / management (\d+)/.exec(await program.firstLine())?.[1]
    const ctl = (...words: string[]): Promise<Outcome> =>
      outcome('ctl', ...words, '--url', `http://127.0.0.1:${management}`)
    expect(await ctl('set_log_level', 'info')).toMatchObject({ code: 0 })
    program.signal('SIGTERM')
    const { errors } = await program.outcome()
    expect(errors).toContain('told to stop')
    expect(errors).not.toContain('accepting AMQP connections')
  })

  it('says that a port is in use, and exits with 1', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as AddressInfo
    const { code, errors, output } = await start('--port', String(port), '--log-level', 'silent').outcome()
    taken.close()
    expect(errors).toBe(`leveret: 127.0.0.1, port ${port} is in use by another process\n`)
    expect(output).toBe('')
    expect(code).toBe(1)
  })

  it('says that another broker has the data directory, and leaves that one alone', async () => {
    const first = start()
    const port = await first.port()
    const { code, errors } = await start('--log-level', 'silent').outcome()
    expect(errors).toMatch(/^leveret: .*data.* (in use|locked|used) .*\n$/)
    expect(code).toBe(1)
    expect(await greeting(port)).toBe('\x01')
  })

  it('says that the data directory cannot be a directory, and exits with 1', async () => {
    const file = join(directory, 'file')
    writeFileSync(file, 'mine')
    for (const words of [file, join(file, 'data')]) {
      const { code, output, errors } = await start('--data-dir', words, '--log-level', 'silent').outcome()
      expect(errors).toMatch(/^leveret: .*file.*\n$/)
      expect(errors).toContain(words)
      expect(output).toBe('')
      expect(code).toBe(1)
    }
    expect(readFileSync(file, 'utf8')).toBe('mine')
  })

  it.runIf(process.platform === 'linux')(
    'says that there can be no directory below /proc (on Linux, where nobody may write there, root included)',
    async () => {
      const { code, errors } = await start('--data-dir', '/proc/leveret/data', '--log-level', 'silent').outcome()
      expect(errors).toMatch(/^leveret: The data directory \/proc\/leveret\/data cannot be used: .*\n$/)
      expect(code).toBe(1)
    },
  )

  it.skipIf(process.getuid?.() === 0)(
    'says that the data directory is not writable (root may write anywhere)',
    async () => {
      chmodSync(directory, 0o500)
      const { code, errors } = await start('--log-level', 'silent').outcome()
      chmodSync(directory, 0o700)
      expect(errors).toMatch(/^leveret: .*data.*writ.*\n$/)
      expect(code).toBe(1)
    },
  )
})

describe('the README', () => {
  const blocks = readFileSync(new URL('../README.md', import.meta.url), 'utf8').matchAll(/```js\n(.*?)```/gs)
  const [hello, embedded] = [...blocks].map((block) => block[1]!)

  it('connects with amqplib as it says', async () => {
    const port = await start().port()
    expect(example(hello!.replace('localhost:5672', `127.0.0.1:${port}`))).toBe('on disk\nreceived Hello, hare!\n')
  })

  it('starts a broker inside a test as it says', () => {
    expect(example(embedded!)).toMatch(/^declared amq\.gen-\S+\n$/)
  })

  /** Runs a module that stands in the root of the project, where it finds the packages. */
  function example(source: string): string {
    const root = join(import.meta.dirname, '..')
    return execFileSync(process.execPath, ['--input-type=module', '--eval', source], { cwd: root, encoding: 'utf8' })
  }
})

/** The first byte that the broker answers a protocol header with: the type of its first frame. */
async function greeting(port: number, host = '127.0.0.1'): Promise<string> {
  const socket = connect(port, host)
  socket.write('AMQP\0\0\x09\x01', 'latin1')
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  return chunk.toString('latin1', 0, 1)
}

function ipv6(): boolean {
  try {
    return readFileSync('/proc/net/if_inet6', 'utf8').includes('00000000000000000000000000000001')
  } catch {
    return false
  }
}
