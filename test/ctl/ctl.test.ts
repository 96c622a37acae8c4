// The commands of `leveret ctl` against a running broker.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { runCtl } from '../../src/ctl/ctl.ts'
import { Progress } from '../../src/ctl/progress.ts'
import { items, useApi } from '../support/api.ts'

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
    const rare = await run({ command: 'list_queues', words: ['name', 'policy', 'garbage_collection'], format: 'json' })
    expect(JSON.parse(rare.out)).toMatchObject([{ name: 'a/b', policy: null, garbage_collection: { minor_gcs: 0 } }])
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

  it('sets policies, limits and parameters, lists them and takes them away', async () => {
    const words = ['ttl', '^tmp', '{"message-ttl":60000}']
    expect(await run({ command: 'set_policy', words, options: { 'apply-to': 'queues', priority: '3' } })).toEqual({
      code: 0,
      out: '',
      err: '',
    })
    const policies = await run({ command: 'list_policies', format: 'json' })
    expect(JSON.parse(policies.out)).toMatchObject([{ name: 'ttl', 'apply-to': 'queues', priority: 3 }])
    expect((await ctl('clear_policy', 'ttl')).code).toBe(0)
    expect(await ctl('set_policy', 'bad', '^', '{"nonsense":1}')).toMatchObject({ code: 65 })
    expect(await ctl('set_policy', 'bad', '^', 'nonsense')).toMatchObject({ code: 65 })

    expect((await ctl('set_vhost_limits', '{"max-queues": 7}')).code).toBe(0)
    expect((await ctl('list_vhost_limits')).out).toContain('{"max-queues":7}')
    expect((await ctl('clear_vhost_limits')).code).toBe(0)
    expect((await ctl('set_user_limits', 'guest', '{"max-channels": 9}')).code).toBe(0)
    expect((await ctl('list_user_limits')).out).toContain('{"max-channels":9}')
    expect((await ctl('clear_user_limits', 'guest', 'all')).code).toBe(0)
    expect((await ctl('list_user_limits')).out).not.toContain('max-channels')

    expect((await ctl('set_global_parameter', 'hare', '{"ears": 2}')).code).toBe(0)
    expect((await ctl('list_global_parameters')).out).toContain('{"ears":2}')
    expect((await ctl('clear_global_parameter', 'hare')).code).toBe(0)
  })

  it('gives rights over routing keys', async () => {
    expect((await ctl('set_topic_permissions', 'guest', 'amq.topic', '^a', '.*')).code).toBe(0)
    expect((await ctl('list_topic_permissions')).out).toMatch(/^guest +amq\.topic +\^a +\.\*$/m)
    expect((await ctl('list_user_topic_permissions', 'guest')).out).toContain('amq.topic')
    expect((await ctl('clear_topic_permissions', 'guest')).code).toBe(0)
    expect((await ctl('list_topic_permissions')).out).not.toContain('amq.topic')
  })

  it('knows whether a password is right', async () => {
    await ctl('add_user', 'eve', 'apple')
    expect(await ctl('authenticate_user', 'eve', 'apple')).toMatchObject({ code: 0, out: 'Success\n' })
    expect(await ctl('authenticate_user', 'eve', 'pear')).toMatchObject({ code: 65 })
    expect((await ctl('clear_password', 'eve')).code).toBe(0)
    expect((await ctl('authenticate_user', 'eve', 'apple')).code).toBe(65)
    const hash = (await ctl('hash_password', 'pear')).out.trim()
    await api.put('/api/users/eve', { password_hash: hash, tags: '' })
    expect((await ctl('authenticate_user', 'eve', 'pear')).code).toBe(0)
  })

  it('looks at messages, deletes some, and pauses a queue', async () => {
    await api.put('/api/queues/%2F/letters', { durable: true })
    for (const payload of ['keep', 'drop', 'keep']) {
      const message = { routing_key: 'letters', payload, payload_encoding: 'string', properties: {} }
      await api.post('/api/exchanges/%2F/amq.default/publish', message)
    }
    expect((await ctl('peek', 'letters')).out.match(/keep|drop/g)).toEqual(['keep', 'drop', 'keep'])
    expect((await run({ command: 'peek', words: ['letters'], options: { text: 'drop' } })).out).not.toContain('keep')
    expect(await ctl('delete_messages', 'letters')).toMatchObject({ code: 64 })
    const dropped = await run({ command: 'delete_messages', words: ['letters'], options: { text: 'drop' } })
    expect(dropped).toEqual({ code: 0, out: 'deleted 1\n', err: '' })
    await api.put('/api/queues/%2F/elsewhere', { durable: true })
    expect((await ctl('move_messages', 'letters', 'elsewhere')).code).toBe(0)
    expect((await ctl('peek', 'elsewhere')).out.match(/keep/g)).toHaveLength(2)
    expect((await ctl('pause_queue', 'letters')).code).toBe(0)
    expect((await ctl('why', 'letters')).code).toBe(0)
    expect((await ctl('resume_queue', 'letters')).code).toBe(0)
    expect((await ctl('list_unacked', 'letters')).out).toMatch(/^delivery_tag /)
    expect((await ctl('list_errors')).out).toMatch(/^user /)
  })

  it('tells how the broker is', async () => {
    expect((await ctl('status')).out).toMatch(/^version +\d+\.\d+\.\d+$/m)
    expect((await ctl('ping')).out).toBe('Ping succeeded\n')
    expect((await ctl('check_alarms')).code).toBe(0)
  })

  it('answers what rabbitmq-diagnostics asks', async () => {
    const said = async (command: string, ...words: string[]): Promise<string> => {
      const { code, out, err } = await ctl(command, ...words)
      expect([command, code, err]).toEqual([command, 0, ''])
      return out
    }
    expect(await said('cluster_status')).toMatch(/^running_nodes +\["leveret@/m)
    expect(await said('alarms')).toBe('resource  node\n')
    expect(await said('is_running')).toBe('The broker is running\n')
    expect(await said('check_protocol_listener', 'amqp')).toBe('amqp is listened for\n')
    expect((await ctl('check_protocol_listener', 'stomp')).code).toBe(69)
    expect(await said('check_port_connectivity')).toContain(String(api.port))
    expect(await said('check_certificate_expiration')).toBe('No certificate ends within 4 weeks\n')
    expect((await run({ command: 'check_certificate_expiration', options: { unit: 'moons' } })).code).toBe(65)
    expect(await said('check_if_node_is_quorum_critical')).toContain('one node')
    expect(await said('memory_breakdown')).toMatch(/^code +\d+$/m)
    expect((await ctl('environment')).code).toBe(0)
    expect(await said('server_version')).toMatch(/^\d+\.\d+\.\d+\n$/)
    expect(await said('list_node_auth_attempt_stats')).toMatch(/^http +\d+ +\d+ +\d+$/m)
    await said('reset_node_auth_attempt_metrics')
    await said('enable_feature_flag', 'all')
    expect((await ctl('enable_feature_flag', 'none')).code).toBe(65)
    expect(await said('list_deprecated_features')).toMatch(/^name +deprecation_phase\n$/)
  })

  it('lists cipher suites by names that a setting takes', async () => {
    const { code, out } = await run({ command: 'cipher_suites', heading: false, options: { all: true } })
    const suites = out.trimEnd().split('\n')
    expect(code).toBe(0)
    expect(suites).toContain('ECDHE-RSA-AES256-GCM-SHA384')
    expect(() => createSecureContext({ ciphers: suites.join(':') })).not.toThrow()
  })

  it('reports everything in one text, and what may not be told as such', async () => {
    await ctl('add_vhost', 'a\nb')
    await api.put('/api/permissions/a%0Ab/guest', { configure: '.*', write: '.*', read: '.*' })
    await api.put('/api/queues/a%0Ab/reported', { durable: true })
    const { code, out } = await ctl('report')
    expect(code).toBe(0)
    const headings = out.match(/^# .*$/gm)
    expect(headings).toContain('# status')
    expect(headings).toContain('# environment')
    expect(headings).toContain('# list_queues of vhost /')
    expect(out).toMatch(/^# list_queues of vhost a\\u000ab\nname +messages\nreported +0\n/m)
    expect(out).toMatch(/^# listeners\nprotocol +ip_address +port\namqp /m)
    expect(out).not.toContain('cannot be told')
    await api.put('/api/users/watcher', { password: 'watcher', tags: 'monitoring' })
    const watched = await run({ command: 'report', user: 'watcher', password: 'watcher' })
    expect(watched.code).toBe(0)
    expect(watched.out).toMatch(/^# list_permissions of vhost \/\ncannot be told: .+$/m)
    expect(watched.out).toContain('# list_policies of vhost /')
    expect((await run({ command: 'report', password: 'wrong' })).code).not.toBe(0)
    await ctl('delete_vhost', 'a\nb')
  })

  it('changes the running node', async () => {
    const node = async () => items((await api.get('/api/nodes')).body)[0]
    expect(await ctl('set_vm_memory_high_watermark', '0')).toEqual({ code: 0, out: '', err: '' })
    expect(await node()).toMatchObject({ mem_limit: 1, mem_alarm: true })
    expect((await ctl('set_vm_memory_high_watermark', 'absolute', '900GB')).code).toBe(0)
    expect(await node()).toMatchObject({ mem_limit: 900e9, mem_alarm: false })
    expect((await ctl('set_disk_free_limit', '2GiB')).code).toBe(0)
    expect(await node()).toMatchObject({ disk_free_limit: 2 ** 31 })
    expect((await ctl('set_disk_free_limit', 'mem_relative', '0')).code).toBe(0)
    expect(await node()).toMatchObject({ disk_free_limit: 0 })
    expect((await ctl('set_vm_memory_high_watermark', '2')).code).toBe(65)
    expect((await ctl('set_vm_memory_high_watermark', 'much')).code).toBe(64)
    expect((await ctl('set_vm_memory_high_watermark', 'absolute')).code).toBe(64)
    expect((await ctl('set_disk_free_limit', '2GB', '3GB')).code).toBe(64)
    expect((await ctl('force_gc')).code).toBe(0)
    const embedded = 'leveret: This broker is part of a program that has to end it itself\n'
    for (const word of ['stop', 'shutdown']) expect(await ctl(word)).toMatchObject({ code: 65, err: embedded })
    expect((await ctl('suspend_listeners')).code).toBe(0)
    expect((await ctl('check_protocol_listener', 'amqp')).code).toBe(69)
    expect((await ctl('resume_listeners')).code).toBe(0)
    expect((await ctl('check_protocol_listener', 'amqp')).code).toBe(0)
    const { code, err } = await ctl('set_log_level', 'warning')
    expect([code, err]).toEqual([65, 'leveret: The log of this broker has no level that could be changed\n'])
  })

  it('tags vhosts and protects them', async () => {
    await ctl('add_vhost', 'kept')
    expect((await ctl('set_vhost_tags', 'kept', 'a', 'b')).code).toBe(0)
    expect((await api.get('/api/vhosts/kept')).body['tags']).toEqual(['a', 'b'])
    expect((await ctl('set_vhost_tags', 'none', 'a')).code).toBe(65)
    expect((await ctl('enable_vhost_deletion_protection', 'kept')).code).toBe(0)
    expect((await ctl('delete_vhost', 'kept')).code).toBe(65)
    expect((await ctl('disable_vhost_deletion_protection', 'kept')).code).toBe(0)
    expect((await ctl('delete_vhost', 'kept')).code).toBe(0)
  })

  it('helps with one command', async () => {
    const { out } = await ctl('help', 'delete_queue')
    expect(out).toMatch(/^usage: leveret ctl delete_queue QUEUE .*--if-empty.*\n\n.*\.\n$/)
    expect((await ctl('help')).out).toContain('list_queues')
    expect((await ctl('help', 'list_ques')).code).toBe(64)
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
