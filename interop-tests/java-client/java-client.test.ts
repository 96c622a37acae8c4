// RabbitMQ's client for Java, unmodified.
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { needsManagement, needsOwnBroker, useBroker } from '../support/broker.ts'
import { because, buildDirectory, ClientProgram, run, whyMissing } from '../support/client-program.ts'
import { closeConnections, useStrainedBroker } from '../support/operator.ts'
import { useSecureBroker } from '../support/secure-broker.ts'

const LIBRARIES = ['amqp-client', 'slf4j-api', 'slf4j-nop'].map((name) => `/usr/share/java/${name}.jar`)

const why = whyMissing(['javac', 'java'], LIBRARIES)

describe.skipIf(why !== null)(`The client for Java${because(why)}`, { timeout: 120_000 }, () => {
  const broker = useBroker()
  const strained = useStrainedBroker()
  const secured = useSecureBroker()
  const directory = buildDirectory()
  const classPath = [...LIBRARIES, directory].join(':')

  beforeAll(async () => {
    const source = join(import.meta.dirname, 'Client.java')
    await run('javac', ['-encoding', 'UTF-8', '-d', directory, '-cp', classPath, source])
  }, 120_000)

  function start(what: string, more: Readonly<Record<string, string>> = {}): ClientProgram {
    const words = ['-XX:TieredStopAtLevel=1', '-Xshare:auto', '-cp', classPath, 'Client', what]
    return new ClientProgram('java', words, { BROKER: broker.url, ...more })
  }

  it('hears of confirms, refusals and returns', async () => {
    expect(await start('confirms').result()).toEqual({
      acked: [true, false, true],
      returned: '312 NO_ROUTE nowhere lost',
      waiting: 0,
      stored: 1000,
    })
  })

  it('consumes by priority with a prefetch, and gets back what it did not take', async () => {
    expect(await start('consuming').result()).toEqual({
      waiting: 3,
      order: '240413',
      redelivered: true,
      heartbeat: 60,
    })
  })

  it('gets headers of every type back, and all properties', async () => {
    expect(await start('tables').result()).toEqual({ different: [], count: 14, properties: true })
  })

  it('uses exchanges of every type, and bindings between them', async () => {
    const gone = (name: string): string => `404 NOT_FOUND - no exchange 'java.${name}' in vhost '/' 40.10`
    expect(await start('topology').result()).toEqual({
      direct: ['a.b'],
      'direct gone': gone('direct'),
      fanout: ['a.b', 'a.c', 'b.a'],
      'fanout gone': gone('fanout'),
      topic: ['a.b', 'a.c'],
      'topic gone': gone('topic'),
      headers: ['a.b', 'a.c'],
      'headers gone': gone('headers'),
      'bound exchanges': 'through both',
      internal: "403 ACCESS_REFUSED - cannot publish to internal exchange 'java.source' in vhost '/' 60.40",
    })
  })

  it('asks and answers with its RPC classes', async () => {
    expect(await start('rpc').result()).toEqual(['one!', 'two!'])
  })

  it('hears that the queue of its consumer is gone', async () => {
    expect(await start('cancelled').result()).toBe('the consumer')
  })

  it('commits and rolls back', async () => {
    expect(await start('transactions').result()).toEqual({ before: 0, body: 'committed', redelivered: true })
  })

  it('sends bodies of many frames, as small as they may be, by NIO', async () => {
    expect(await start('bodies').result()).toEqual({ whole: Array(6).fill(true), frame: 4096 })
  })

  it('gets dead letters, and the reasons', async () => {
    const letters = ['old: expired 1 true', 'oldest: maxlen 1 true', 'rejected: rejected 1 true']
    expect(await start('deadLetters').result()).toEqual(letters)
  })

  it('is refused with the codes and texts of RabbitMQ', async () => {
    const durable = "for queue 'java.durable' in vhost '/'"
    expect(await start('refusals').result()).toEqual([
      "404 NOT_FOUND - no queue 'not there' in vhost '/' 50.10",
      `406 PRECONDITION_FAILED - inequivalent arg 'durable' ${durable}: received 'false' but current is 'true' 50.10`,
      `406 PRECONDITION_FAILED - inequivalent arg 'x-expires' ${durable}: received the value '1000' of type 'signedint' but current is none 50.10`,
      "406 PRECONDITION_FAILED - unknown exchange type 'no-such-type' 40.10",
      'accepted',
      "404 NOT_FOUND - no exchange 'not there' in vhost '/' 60.40",
      '406 PRECONDITION_FAILED - unknown delivery tag 42 60.80',
      "405 RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'Q' in vhost '/'. It could be originally " +
        'declared on another connection or the exclusive property value does not match that of the original declaration. 50.10',
      'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.',
      '530 NOT_ALLOWED - vhost nowhere not found',
    ])
  })

  it('is told when it is blocked, and when no longer', async () => {
    const program = start('blocked', { BROKER: strained.url })
    await program.says('connected')
    strained.memory(true)
    await program.says('blocked')
    strained.memory(false)
    expect(await program.result()).toEqual({ reason: 'low on memory', after: 'unblocked', acked: true })
  })

  it('recovers connection, topology and consumers, after an operator and after a restart', async (context) => {
    needsOwnBroker(context)
    needsManagement(context)
    const program = start('recovery')
    await program.says('connected')
    await closeConnections(broker)
    await program.says('recovered')
    await broker.restart()
    await program.says('recovered')
    expect(await program.result()).toEqual(['before', 'after 320', 'after 320', 'kept'])
  })

  it('connects over TLS, by NIO too', async () => {
    const program = start('secure', {
      BROKER: `amqps://guest:guest@localhost:${secured.port}`,
      AUTHORITY: secured.authorityFile,
    })
    expect(await program.result()).toEqual(['safe', 'safe by NIO'])
  })
})
