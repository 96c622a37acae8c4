// Where settings come from, which comes first, and what is said about wrong ones.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig, type Config } from '../../src/config/config.ts'
import { defaultWords } from '../../src/config/document.ts'
import { KEYS, setting, variable } from '../../src/config/schema.ts'

let directory: string
let file: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'leveret-config-'))
  file = join(directory, 'leveret.yaml')
})
afterEach(() => rm(directory, { recursive: true }))

function load(flags: Record<string, unknown> = {}, environment: Record<string, string> = {}): Promise<Config> {
  return loadConfig({ flags, environment })
}

async function loadFile(content: string, flags: Record<string, unknown> = {}): Promise<Config> {
  await writeFile(file, content)
  return load({ config: file, ...flags })
}

describe('precedence', () => {
  it('starts from defaults that every setting would take itself', async () => {
    const { values, sources } = await load()
    expect(values).toMatchObject({ 'data-dir': './data', host: null, port: 5672, 'loopback-users': ['guest'] })
    expect(new Set(Object.values(sources))).toEqual(new Set(['default']))
    for (const key of KEYS.filter((one) => values[one] !== null)) {
      expect(setting(key).read(values[key])).toEqual(values[key])
    }
  })

  it('puts flags before the environment, that before the file, and the file before the defaults', async () => {
    await writeFile(file, 'port: 1\nheartbeat: 1\nframe-max: 8192\n')
    const { values, sources } = await load(
      { config: file, port: '3' },
      { LEVERET_PORT: '2', LEVERET_HEARTBEAT: '2', LEVERET_CONFIG: 'elsewhere.yaml' },
    )
    expect(values).toMatchObject({ port: 3, heartbeat: 2, 'frame-max': 8192, 'channel-max': 2047 })
    expect(sources).toMatchObject({
      port: '--port',
      heartbeat: 'LEVERET_HEARTBEAT',
      'frame-max': `frame-max in ${file}`,
      'channel-max': 'default',
    })
  })

  it('finds the file by LEVERET_CONFIG too', async () => {
    await writeFile(file, 'port: 1\n')
    expect((await load({}, { LEVERET_CONFIG: file })).values.port).toBe(1)
  })

  it("understands RabbitMQ's variables for the first user and vhost, after its own", async () => {
    const rabbitmq = { RABBITMQ_DEFAULT_USER: 'ann', RABBITMQ_DEFAULT_PASS: 'carrot', RABBITMQ_DEFAULT_VHOST: 'field' }
    const { values, sources } = await load({}, { ...rabbitmq, LEVERET_DEFAULT_USER: 'bob' })
    expect(values).toMatchObject({ 'default-user': 'bob', 'default-pass': 'carrot', 'default-vhost': 'field' })
    expect(sources['default-pass']).toBe('RABBITMQ_DEFAULT_PASS')
  })

  /** Of settings whose default is no value. */
  const VALUES: Readonly<Record<string, string>> = {
    'also-listen': '5673',
    'tls-also-listen': '127.0.0.1:5673',
    'management-tls-versions': 'tlsv1.3',
  }

  it('has a variable for every key', async () => {
    expect(KEYS.map(variable)).toContain('LEVERET_MAX_MESSAGE_SIZE')
    for (const key of KEYS) {
      const value = VALUES[key] ?? defaultWords(key)
      expect((await load({}, { [variable(key)]: value })).sources[key]).toBe(variable(key))
    }
  })

  it('is not misled by what Kubernetes sets for a service of the same name', async () => {
    const { values } = await load(
      {},
      {
        LEVERET_PORT: 'tcp://10.0.0.1:5672',
        LEVERET_PORT_5672_TCP_ADDR: '10.0.0.1',
        LEVERET_SERVICE_HOST: '10.0.0.1',
        LEVERET_SERVICE_PORT_AMQP: '5672',
      },
    )
    expect(values.port).toBe(5672)
  })
})

describe('values', () => {
  it('reads lists from a file and, separated by commas, from elsewhere', async () => {
    expect((await loadFile('loopback-users: [ann, bob]')).values['loopback-users']).toEqual(['ann', 'bob'])
    expect((await load({ 'loopback-users': ' ann, bob,' })).values['loopback-users']).toEqual(['ann', 'bob'])
    expect((await load({ 'loopback-users': '' })).values['loopback-users']).toEqual([])
  })

  it('reads a name that looks like a number, and leaves a key without a value at its default', async () => {
    const { values, sources } = await loadFile('default-user: 42\nport:\n')
    expect(values['default-user']).toBe('42')
    expect(sources.port).toBe('default')
  })

  it('reads records by their names, from a file and as JSON', async () => {
    const ann = {
      'vhost-pattern': '^a',
      password: null,
      tags: ['monitoring'],
      configure: '.*',
      write: '.*',
      read: '.*',
    }
    const { values } = await loadFile(
      'default-users:\n  ann:\n    vhost-pattern: ^a\n    tags: [monitoring]\n    read:\n',
    )
    expect(values['default-users']).toEqual({ ann })
    const json = JSON.stringify({ ann: { 'vhost-pattern': '^a', tags: 'monitoring' }, bob: null })
    const other = await load({ 'default-users': json }, { LEVERET_DEFAULT_VHOST_LIMITS: 'none' })
    expect(other.values['default-users']).toEqual({ ann, bob: { ...ann, 'vhost-pattern': '.*', tags: [] } })
    expect(other.values['default-vhost-limits']).toEqual({})
  })

  it('takes an empty file for no settings', async () => {
    expect((await loadFile('# nothing\n')).values.port).toBe(5672)
  })
})

describe('what is wrong is named, with what comes nearest', () => {
  const flags: [flags: Record<string, unknown>, sentence: string][] = [
    [{ prot: '1' }, 'there is no option --prot; did you mean --port?'],
    [{ x: '1' }, 'there is no option -x; did you mean --help?'],
    [{ confg: 'a' }, 'there is no option --confg; did you mean --config?'],
    [
      { port: '70000' },
      'the value "70000" of --port is not right: it must be a whole number from 0 to 65535, or none; the nearest is 65535',
    ],
    [
      { port: '-1' },
      'the value "-1" of --port is not right: it must be a whole number from 0 to 65535, or none; the nearest is 0',
    ],
    [
      { port: '0x10' },
      'the value "0x10" of --port is not right: it must be a whole number from 0 to 65535, or none; the nearest is 0',
    ],
    [
      { 'default-permissions-read': '[' },
      'the value "[" of --default-permissions-read is not right: it must be a regular expression: a [ has no ] (at character 2)',
    ],
    [{ port: 'amqp' }, 'the value "amqp" of --port is not right: it must be a whole number from 0 to 65535, or none'],
    [{ port: '' }, 'the value "" of --port is not right: it must be a whole number from 0 to 65535, or none'],
    [
      { 'handshake-timeout': '0.5' },
      'the value "0.5" of --handshake-timeout is not right: it must be a whole number of milliseconds from 1 to 3600000; the nearest is 1',
    ],
    [
      { 'max-message-size': '536870913' },
      'the value "536870913" of --max-message-size is not right: it must be a whole number of bytes from 1 to 536870912; the nearest is 536870912',
    ],
    [
      { 'memory-limit': '1.5' },
      'the value "1.5" of --memory-limit is not right: it must be a share from 0 to 1, or a whole number of bytes from 67108864 to 1099511627776',
    ],
    [
      { 'memory-limit': '-1' },
      'the value "-1" of --memory-limit is not right: it must be a share from 0 to 1, or a whole number of bytes from 67108864 to 1099511627776',
    ],
    [
      { 'disk-free-limit': 'lots' },
      'the value "lots" of --disk-free-limit is not right: it must be a whole number of bytes from 0 to 1125899906842624',
    ],
    [
      { 'log-level': 'wran' },
      'the value "wran" of --log-level is not right: it must be one of trace, debug, info, warn, error, fatal, silent; did you mean warn?',
    ],
    [
      { 'default-users': 'ann' },
      'the value of --default-users is not right: it must be a mapping of names to mappings',
    ],
    [{ 'default-users': '{"ann": 1}' }, 'the value of --default-users is not right: it must be a mapping of names'],
    [
      { 'default-users': '{"ann": {"tag": "management"}}' },
      'the value of --default-users is not right: it has no place for tag in ann; did you mean tags?',
    ],
    [
      { 'default-vhost-limits': '{"1": {"max-queues": -2}}' },
      'is not right: it has a wrong max-queues in 1, which must be a whole number from -1 to 2147483647; the nearest is -1',
    ],
    [{ 'data-dir': '' }, 'the value "" of --data-dir is not right: it must be the path of a directory'],
    [{ config: 'missing.yaml' }, 'the configuration file missing.yaml cannot be read: it does not exist'],
  ]
  it.each(flags)('%j', async (given, sentence) => {
    await expect(load(given)).rejects.toThrow(sentence)
  })

  it('in a variable', async () => {
    await expect(load({}, { LEVERET_DATADIR: 'x' })).rejects.toThrow(
      'there is no setting for the variable LEVERET_DATADIR; did you mean LEVERET_DATA_DIR?',
    )
    await expect(load({}, { LEVERET_PORT: 'x' })).rejects.toThrow('the value "x" of LEVERET_PORT is not right')
  })

  it('in the file', async () => {
    await expect(loadFile('ports: 1')).rejects.toThrow(`there is no setting ports (in ${file}); did you mean port?`)
    await expect(loadFile('port: yes')).rejects.toThrow(`the value "yes" of port in ${file} is not right`)
    await expect(loadFile('loopback-users: 5')).rejects.toThrow(
      'it must be a list of names, or names separated by commas',
    )
    await expect(loadFile('- port')).rejects.toThrow(`${file} must hold settings as "key: value", one a line`)
    await expect(loadFile('port: 1\nport: 2')).rejects.toThrow(
      `the configuration file ${file} is not valid YAML: Map keys must be unique at line 2, column 1`,
    )
    await expect(load({ config: directory })).rejects.toThrow(`the configuration file ${directory} cannot be read`)
  })

  it('without showing a secret', async () => {
    const wrong = loadFile('default-pass: [secret]')
    await expect(wrong).rejects.toThrow(`the value of default-pass in ${file} is not right`)
    await expect(wrong).rejects.not.toThrow('[secret]')
  })
})
