// The commands of `leveret ctl` against a running broker.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runCtl } from '../../src/ctl/ctl.ts'
import { Progress } from '../../src/ctl/progress.ts'
import { useApi } from '../support/api.ts'

const api = useApi()

interface Said {
  readonly code: number
  readonly out: string
  readonly err: string
}

async function ctl(command: string, ...words: string[]): Promise<Said> {
  return run({ command, words })
}

async function run(line: Partial<Parameters<typeof runCtl>[0]>): Promise<Said> {
  let [out, err] = ['', '']
  const code = await runCtl(
    {
      url: `http://127.0.0.1:${api.port}`,
      user: 'guest',
      password: 'guest',
      vhost: '/',
      command: '',
      words: [],
      format: 'table',
      heading: true,
      options: {},
      ...line,
    },
    {
      out: (text) => (out += text),
      err: (text) => (err += text),
      progress: new Progress({ write: (text: string) => (err += text) }),
    },
  )
  return { code, out, err }
}

describe('leveret ctl', () => {
  it('adds users, gives them rights, lists them and deletes them', async () => {
    expect(await ctl('add_user', 'ann', 'secret')).toEqual({ code: 0, out: '', err: '' })
    expect((await ctl('set_user_tags', 'ann', 'monitoring')).code).toBe(0)
    expect((await ctl('set_permissions', 'ann', '^a', '.*', '')).code).toBe(0)
    expect((await ctl('list_users')).out).toMatch(/^user +tags\n(.*\n)*ann +\["monitoring"\]\n/)
    expect((await ctl('list_user_permissions', 'ann')).out).toMatch(/^\/ +\^a +\.\*/m)
    expect((await api.get('/api/whoami', { user: 'ann', password: 'secret' })).status).toBe(200)
    expect((await ctl('change_password', 'ann', 'other')).code).toBe(0)
    expect((await api.get('/api/whoami', { user: 'ann', password: 'other' })).body['tags']).toEqual(['monitoring'])
    expect((await ctl('delete_user', 'ann')).code).toBe(0)
    expect(await ctl('delete_user', 'ann')).toMatchObject({ code: 67, err: 'leveret: there is no user ann\n' })
  })

  it('lists, purges and deletes queues', async () => {
    await api.put('/api/queues/%2F/a%2Fb', { durable: true })
    expect((await ctl('list_queues')).out).toMatch(/^name +messages\na\/b +0\n$/)
    const { out } = await run({ command: 'list_queues', words: ['name', 'consumers'], format: 'json' })
    expect(JSON.parse(out)).toEqual([{ name: 'a/b', consumers: 0 }])
    expect((await ctl('why', 'a/b')).out).toContain('The queue is empty.')
    expect((await ctl('purge_queue', 'a/b')).code).toBe(0)
    expect((await run({ command: 'delete_queue', words: ['a/b'], options: { 'if-empty': true } })).code).toBe(0)
    expect((await ctl('purge_queue', 'a/b')).code).toBe(65)
  })

  it('writes definitions to a file and reads them back', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'leveret-ctl-'))
    const file = join(directory, 'definitions.json')
    expect((await ctl('export_definitions', file)).code).toBe(0)
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ vhosts: [{ name: '/' }] })
    expect((await ctl('import_definitions', file)).code).toBe(0)
    expect((await ctl('import_definitions', join(directory, 'none'))).code).toBe(65)
    rmSync(directory, { recursive: true })
  })

  it('tells how the broker is', async () => {
    expect((await ctl('status')).out).toMatch(/^version +\d+\.\d+\.\d+$/m)
    expect((await ctl('ping')).out).toBe('Ping succeeded\n')
    expect((await ctl('check_alarms')).code).toBe(0)
  })

  it('ends with a code that scripts can trust', async () => {
    expect(await ctl('list_ques')).toMatchObject({
      code: 64,
      err: 'leveret: there is no command ctl list_ques; did you mean list_queues?\n',
    })
    expect((await ctl('add_user', 'ann')).code).toBe(64)
    expect((await run({ command: 'list_users', password: 'wrong' })).code).toBe(65)
    expect((await run({ command: 'ping', url: 'http://127.0.0.1:1' })).code).toBe(69)
  })

  it('shows no control characters of strangers', async () => {
    await api.put(`/api/queues/%2F/${encodeURIComponent('\u001b[2Jred')}`)
    expect((await ctl('list_queues', 'name')).out).toContain('\\u001b[2Jred')
  })
})
