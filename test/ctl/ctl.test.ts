// The commands of `leveret ctl` against a running broker.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { absentCommands } from '../../src/ctl/commands/absent.ts'
import { ctlCommands, runCtl } from '../../src/ctl/ctl.ts'
import { Progress } from '../../src/ctl/progress.ts'
import { items, useApi, word } from '../support/api.ts'

const api = useApi()

interface Said {
  readonly code: number
  readonly out: string
  readonly err: string
}

async function ctl(command: string, ...words: string[]): Promise<Said> {
  return run({ command, words })
}

/** The queues of commands that tell what comes, once they are bound. */
async function queuesOfStreams(): Promise<readonly string[]> {
  const bindings = items((await api.get('/api/bindings/%2F')).body)
  return bindings
    .filter(({ source }) => word(source).startsWith('amq.rabbitmq.'))
    .map(({ destination }) => word(destination))
}

async function run(line: Partial<Parameters<typeof runCtl>[0]>, hear?: (text: string) => void): Promise<Said> {
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
      out: (text) => {
        out += text
        hear?.(text)
      },
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

  it('tells of events as they come, until its time is over or its queue is gone', async () => {
    let told = ''
    const ended = run({ command: 'consume_event_stream', options: { pattern: 'vhost.#' } }, (text) => (told += text))
    await expect.poll(() => queuesOfStreams()).toHaveLength(1)
    await api.put('/api/vhosts/told')
    await api.put('/api/queues/told/not')
    await api.delete('/api/vhosts/told')
    await expect.poll(() => told).toContain('vhost.deleted')
    const events = told
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(events).toMatchObject([
      { event: 'vhost.created', name: 'told' },
      { event: 'vhost.deleted', name: 'told' },
    ])
    expect(events[0]!['timestamp_in_ms']).toEqual(expect.any(Number))
    for (const name of await queuesOfStreams()) await api.delete(`/api/queues/%2F/${name}`)
    expect(await ended).toMatchObject({ code: 65 })
  })

  it('shows the lines of the log as they come', async () => {
    const ended = run({ command: 'log_tail_stream', options: { duration: '1' } })
    await expect.poll(() => queuesOfStreams()).toHaveLength(1)
    await api.get('/api/whoami', { user: 'nobody', password: 'wrong' })
    const { code, out } = await ended
    expect(code).toBe(0)
    expect(out).toMatch(/^\d{4}-\d\d-\d\dT\S+Z \[info\] login refused \{.*"user":"nobody".*\}$/m)
    expect(await queuesOfStreams()).toEqual([])
    const wrong = await run({ command: 'log_tail_stream', options: { duration: 'long' } })
    expect(wrong).toMatchObject({ code: 64, err: expect.stringContaining('--duration must be') })
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
    for (const name of ['stop', 'shutdown']) expect(await ctl(name)).toMatchObject({ code: 65, err: embedded })
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

/** Every command of rabbitmqctl 3.13 and 4, and those of rabbitmq-diagnostics, -queues and -upgrade. */
const RABBITMQ_COMMANDS = `
  add_user add_vhost authenticate_user autocomplete await_online_nodes await_startup cancel_sync_queue
  change_cluster_node_type change_password clear_global_parameter clear_operator_policy clear_parameter clear_password
  clear_permissions clear_policy clear_topic_permissions clear_user_limits clear_vhost_limits close_all_connections
  close_all_user_connections close_connection cluster_status decode decrypt_conf_value delete_queue delete_user
  delete_vhost disable_vhost_deletion_protection enable_feature_flag enable_vhost_deletion_protection encode
  encrypt_conf_value environment eval eval_file exec export_definitions force_boot force_gc force_reset
  forget_cluster_node hash_password help hipe_compile import_definitions join_cluster list_bindings list_channels
  list_ciphers list_connections list_consumers list_deprecated_features list_exchanges list_feature_flags
  list_global_parameters list_hashes list_node_auth_attempt_stats list_operator_policies list_parameters
  list_permissions list_policies list_queues list_topic_permissions list_unresponsive_queues list_user_limits
  list_user_permissions list_user_topic_permissions list_users list_vhost_limits list_vhosts node_health_check ping
  purge_queue reconcile_vhosts rename_cluster_node report reset restart_vhost resume_listeners rotate_logs schema_info
  set_cluster_name set_disk_free_limit set_global_parameter set_log_level set_operator_policy set_parameter
  set_permissions set_permissions_globally set_policy set_topic_permissions set_user_limits set_user_tags
  set_vhost_limits set_vhost_tags set_vm_memory_high_watermark shutdown start_app status stop stop_app
  suspend_listeners sync_queue trace_off trace_on update_cluster_nodes update_vhost_metadata version wait
  force_standalone_khepri_boot activate_free_disk_space_monitoring deactivate_free_disk_space_monitoring
  enable_free_disk_space_monitoring disable_free_disk_space_monitoring list_sessions
  alarms certificates check_alarms check_certificate_expiration check_for_quorum_queues_without_an_elected_leader
  check_if_any_deprecated_features_are_used check_if_cluster_has_classic_queue_mirroring_policy
  check_if_metadata_store_is_initialized check_if_metadata_store_is_initialized_with_data check_local_alarms
  check_port_connectivity check_port_listener check_protocol_listener check_running check_virtual_hosts cipher_suites
  command_line_arguments consume_event_stream disable_auth_attempt_source_tracking discover_peers
  enable_auth_attempt_source_tracking erlang_cookie_hash erlang_cookie_sources erlang_version is_booting is_running
  list_network_interfaces list_policies_that_match listeners log_location log_tail log_tail_stream maybe_stuck
  memory_breakdown message_size_stats metadata_store_status observer os_env remote_shell
  reset_node_auth_attempt_metrics resolve_hostname resolver_info runtime_thread_stats server_version tls_versions
  add_member check_if_new_quorum_queue_replicas_have_finished_initial_sync check_if_node_is_mirror_sync_critical
  check_if_node_is_quorum_critical delete_member force_checkpoint grow grow_to_count leader_health_check
  list_operator_policies_with_classic_queue_mirroring list_policies_with_classic_queue_mirroring peek quorum_status
  rebalance reclaim_quorum_memory shrink stream_status transfer_leadership await_online_quorum_plus_one
  await_online_synchronized_mirror drain post_upgrade revive
  shovel_status restart_shovel delete_shovel federation_status restart_federation_link
  list_amqp10_connections list_mqtt_connections list_stomp_connections list_stream_connections
`
  .trim()
  .split(/\s+/)

describe('the commands of RabbitMQ', () => {
  const document = readFileSync(new URL('../../docs/management.md', import.meta.url), 'utf8')

  it('are all there, or say why they have no meaning here', async () => {
    const there = new Set(ctlCommands())
    for (const command of RABBITMQ_COMMANDS.filter((name) => !there.has(name))) {
      const { code, out, err } = await ctl(command)
      expect([command, code, out]).toEqual([command, 64, ''])
      expect(err).toMatch(new RegExp(`^leveret: ${command} has no meaning here: \\S.*\\n$`))
      expect(document).toContain(`\`${command}\``)
    }
  })

  it('are named where they are absent, and only there', () => {
    const there = new Set(ctlCommands())
    expect(Object.keys(absentCommands).filter((name) => there.has(name))).toEqual([])
  })
})

describe('waiting for a broker', () => {
  it('ends when it answers, and the process is there that a file names', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'leveret-ctl-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const file = join(directory, 'pid')
    expect(await run({ command: 'wait', words: [file], options: { timeout: '0' } })).toMatchObject({ code: 69 })
    writeFileSync(file, `${process.pid}\n`)
    expect(await ctl('wait', file)).toEqual({ code: 0, out: 'The broker is running\n', err: '' })
    expect((await ctl('wait')).code).toBe(0)
    expect((await ctl('await_online_nodes', '1')).code).toBe(0)
    expect(await ctl('await_online_nodes', '3')).toMatchObject({ code: 64 })
  })

  it('fails at once when the process is gone, or none is named', async () => {
    const child = spawn(process.execPath, ['--version'])
    await once(child, 'exit')
    const nobody = 'http://127.0.0.1:1'
    const options = { pid: String(child.pid), timeout: '60' }
    expect(await run({ command: 'wait', url: nobody, options })).toMatchObject({
      code: 70,
      err: `leveret: the process ${child.pid} is gone\n`,
    })
    expect(await run({ command: 'wait', url: nobody, options: { pid: '-1' } })).toMatchObject({ code: 65 })
    expect(await run({ command: 'wait', url: nobody, options: { timeout: '0' } })).toMatchObject({ code: 69 })
  })
})

describe('what is asked of a queue, a vhost, a log', () => {
  it('lists the policies that match a queue, the one that holds first', async () => {
    await api.put('/api/queues/%2F/orders', {})
    for (const [name, pattern, priority, applyTo] of [
      ['low', '^o', 1, 'all'],
      ['high', '^ord', 7, 'classic_queues'],
      ['other', '^x', 9, 'all'],
      ['exchanges', '^o', 9, 'exchanges'],
    ] as const) {
      const definition = { 'max-length': 10 }
      const forExchanges = { 'alternate-exchange': 'x' }
      await api.put(`/api/policies/%2F/${name}`, {
        pattern,
        priority,
        'apply-to': applyTo,
        definition: applyTo === 'classic_queues' ? definition : forExchanges,
      })
    }
    const said = await run({ command: 'list_policies_that_match', words: ['orders'], format: 'json' })
    expect((JSON.parse(said.out) as readonly { name: string }[]).map(({ name }) => name)).toEqual(['high', 'low'])
    expect((await ctl('list_policies_that_match', 'nothing')).code).toBe(65)
    const wrong = { command: 'list_policies_that_match', words: ['q'], options: { 'object-type': 'user' } }
    expect((await run(wrong)).code).toBe(64)
  })

  it('starts a vhost that there is', async () => {
    expect(await ctl('restart_vhost')).toEqual({ code: 0, out: 'Virtual host / runs\n', err: '' })
    expect((await run({ command: 'restart_vhost', vhost: 'nowhere' })).code).toBe(65)
  })

  it('says where the log goes, and that there is nothing to rotate', async () => {
    expect((await ctl('log_location')).out).toBe('<stderr>\n')
    expect(await ctl('rotate_logs')).toMatchObject({ code: 0, out: expect.stringMatching(/^Nothing was rotated: /) })
  })

  it.each([
    ['is_booting', /^The broker has started/],
    ['node_health_check', /^Health check passed/],
    ['check_if_node_is_mirror_sync_critical', /one node/],
    ['check_for_quorum_queues_without_an_elected_leader', /one node/],
    ['list_unresponsive_queues', /^name\n$/],
    ['tls_versions', /tlsv1\.3\ntlsv1\.2\n$/],
  ])('answers %s', async (command, said) => {
    expect(await ctl(command)).toMatchObject({ code: 0, out: expect.stringMatching(said) })
  })
})
