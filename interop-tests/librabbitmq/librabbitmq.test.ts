// librabbitmq, the client for C, and amqp-tools, the commands that come with it; both unmodified.
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { useBroker } from '../support/broker.ts'
import { because, buildDirectory, ClientProgram, run, whyMissing } from '../support/client-program.ts'
import { queueName } from '../support/names.ts'

const whyLibrary = whyMissing(['cc'], ['/usr/include/amqp.h'])

describe.skipIf(whyLibrary !== null)(`librabbitmq${because(whyLibrary)}`, () => {
  const broker = useBroker()
  const client = join(buildDirectory(), 'client')

  beforeAll(async () => {
    await run('cc', ['-w', '-o', client, join(import.meta.dirname, 'client.c'), '-lrabbitmq'])
  }, 60_000)

  function ask(what: string): Promise<unknown> {
    return new ClientProgram(client, [what, String(broker.port)]).result()
  }

  it('sends bodies of many frames, as small as they may be, and hears of confirms', async () => {
    expect(await ask('bodies')).toEqual({ whole: 5, confirmed: 5, frame: 4096, heartbeat: 30 })
  })

  it('consumes with a prefetch, and gets back what it did not take', async () => {
    expect(await ask('consuming')).toEqual(['one', 'one again', 'two', 'three'])
  })

  it('gets headers of every type back', async () => {
    expect(await ask('tables')).toEqual({ sent: 17, same: 17, mode: 2 })
  })

  it('hears of returns, and is refused with the codes and texts of RabbitMQ', async () => {
    expect(await ask('refusals')).toEqual([
      '312 NO_ROUTE',
      "404 NOT_FOUND - no queue 'not there' in vhost '/'",
      '403 ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.',
    ])
  })
})

const whyTools = whyMissing(['amqp-publish', 'amqp-get', 'amqp-consume', 'amqp-declare-queue', 'amqp-delete-queue'])

describe.skipIf(whyTools !== null)(`amqp-tools${because(whyTools)}`, () => {
  const broker = useBroker()

  function tool(name: string, ...words: readonly string[]): Promise<string> {
    return run(`amqp-${name}`, [`--url=${broker.url}`, ...words])
  }

  it('declare a queue, publish to it, get and consume from it, and delete it', async () => {
    const queue = queueName()
    expect(await tool('declare-queue', '-d', '-q', queue)).toBe(`${queue}\n`)
    for (const body of ['one', 'two', 'three']) await tool('publish', '-p', '-r', queue, '-b', body)
    expect(await tool('get', '-q', queue)).toBe('one')
    expect(await tool('consume', '-q', queue, '-c', '2', 'cat')).toBe('twothree')
    expect(await tool('delete-queue', '-q', queue)).toBe('0\n')
    await expect(tool('get', '-q', queue)).rejects.toThrow(`NOT_FOUND - no queue '${queue}' in vhost '/'`)
  })
})
