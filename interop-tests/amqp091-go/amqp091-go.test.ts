// amqp091-go, RabbitMQ's client for Go, unmodified: a program that uses it, and its own tests.
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { needsManagement, useBroker } from '../support/broker.ts'
import { because, buildDirectory, ClientProgram, run, whyMissing } from '../support/client-program.ts'
import { closeConnections, useStrainedBroker } from '../support/operator.ts'
import { useSecureBroker } from '../support/secure-broker.ts'

const PACKAGE = 'github.com/rabbitmq/amqp091-go'
const SOURCES = '/usr/share/gocode'
/** Its tests of a broker, but one that opens channels for 13 s, and those that race with a time to live. */
const OWN_TESTS =
  '^Test(Integration|Quick|Publish|RoundTrip|DeclareArgsReject|Deadlock|Repeated|ChannelException|Corrupted|Exchange|RabbitMQQueueNack|Consumer|Concurrent|ShouldNotWait)'

const why = whyMissing(['go'], [join(SOURCES, 'src', PACKAGE)])

describe.skipIf(why !== null)(`amqp091-go${because(why)}`, { timeout: 120_000 }, () => {
  const broker = useBroker()
  const strained = useStrainedBroker()
  const secured = useSecureBroker()
  const directory = buildDirectory()
  const client = join(directory, 'client')
  const environment = { GO111MODULE: 'off', GOPATH: SOURCES, GOCACHE: join(directory, 'cache'), GOFLAGS: '-p=1' }

  beforeAll(async () => {
    await run('go', ['build', '-o', client, join(import.meta.dirname, 'client.go')], environment)
  }, 300_000)

  function start(what: string, more: Readonly<Record<string, string>> = {}): ClientProgram {
    return new ClientProgram(client, [what], { BROKER: broker.url, ...more })
  }

  it('hears of confirms, refusals and returns', async () => {
    expect(await start('confirms').result()).toEqual({
      acked: [true, false],
      returned: { code: 312, text: 'NO_ROUTE', key: 'nowhere', body: 'lost' },
      noticed: 500,
    })
  })

  it('consumes with a prefetch, acknowledges several, and gets back what it did not take', async () => {
    expect(await start('consuming').result()).toEqual({
      waiting: 7,
      consumers: 1,
      order: ['3', '4', '2', '5', '6', '7', '8', '9'],
      redelivered: 1,
    })
  })

  it('uses exchanges of every type, and bindings between them', async () => {
    expect(await start('topology').result()).toEqual({
      direct: ['a.b'],
      'direct gone': true,
      fanout: ['a.b', 'a.c', 'b.a'],
      'fanout gone': true,
      topic: ['a.b', 'a.c'],
      'topic gone': true,
      headers: ['a.b', 'a.c'],
      'headers gone': true,
      'bound exchanges': 'through both',
      'purged and deleted': [0, 0],
    })
  })

  it('gets headers of every type back, and all properties', async () => {
    expect(await start('tables').result()).toEqual({ different: [], count: 15, properties: true })
  })

  it('asks and answers by direct reply-to', async () => {
    expect(await start('rpc').result()).toEqual(['one: one!', 'two: two!'])
  })

  it('hears that the queue of its consumer is gone', async () => {
    expect(await start('cancelled').result()).toBe('the consumer')
  })

  it('commits and rolls back', async () => {
    expect(await start('transactions').result()).toEqual({ before: 0, after: 1, body: 'committed' })
  })

  it('sends bodies of many frames, as small as they may be', async () => {
    expect(await start('bodies').result()).toEqual({ whole: Array(6).fill(true), frame: 4096, heartbeat: 7 })
  })

  it('gets messages by their priority', async () => {
    expect(await start('priorities').result()).toBe('13240')
  })

  it('gets dead letters, and the reasons', async () => {
    const letter = { count: 1, timed: true, keys: 1 }
    expect(await start('deadLetters').result()).toEqual([
      { ...letter, body: 'old', reason: 'expired', first: 'expired' },
      { ...letter, body: 'oldest', reason: 'maxlen', first: 'maxlen' },
      { ...letter, body: 'rejected', reason: 'rejected', first: 'rejected' },
    ])
  })

  it('is refused with the codes and texts of RabbitMQ', async () => {
    expect(await start('refusals').result()).toEqual([
      "404 NOT_FOUND - no queue 'not there' in vhost '/'",
      "406 PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'go.durable' in vhost '/': received 'false' but current is 'true'",
      "403 ACCESS_REFUSED - exchange name 'amq.own' contains reserved prefix 'amq.*'",
      expect.stringMatching(
        /^406 PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'amq\.gen-.*' in vhost '\/': \{value_negative,-1\}$/,
      ),
      '406 PRECONDITION_FAILED - unknown delivery tag 42',
      '540 NOT_IMPLEMENTED - immediate=true',
      '403 no access to this vhost',
      '403 username or password not allowed',
    ])
  })

  it('is told when it is blocked, and when no longer', async () => {
    const program = start('blocked', { BROKER: strained.url })
    await program.says('connected')
    strained.memory(true)
    await program.says('blocked')
    strained.memory(false)
    expect(await program.result()).toEqual({ active: [true, false], reason: 'low on memory', acked: true })
  })

  it('is told why an operator closes its connection', async (context) => {
    needsManagement(context)
    const program = start('closed')
    await program.says('connected')
    await closeConnections(broker)
    const reason = 'CONNECTION_FORCED - Closed via management plugin'
    expect(await program.result()).toEqual({ code: 320, reason, server: true, recover: false })
  })

  it('logs in by its certificate', async () => {
    const files = { AUTHORITY: secured.authorityFile, CERTIFICATE: secured.certificateFile, KEY: secured.keyFile }
    const program = start('secure', { BROKER: `amqps://localhost:${secured.port}`, ...files })
    expect(await program.result()).toEqual({ body: 'safe', distrust: true })
  })

  it('passes its own tests', async (context) => {
    const wanted = process.env['INTEROP_OWN_TESTS'] !== undefined
    context.skip(!wanted, 'they wait 200 ms for what a busy machine may take longer for; INTEROP_OWN_TESTS=1 runs them')
    const words = ['test', '-v', '-count=1', '-short', '-tags=integration', `-run=${OWN_TESTS}`, PACKAGE]
    const output = await run('go', words, { ...environment, AMQP_URL: broker.url })
    expect(output).not.toContain('--- FAIL')
    expect(output.match(/^--- PASS/gm)?.length).toBeGreaterThan(40)
  })
})
