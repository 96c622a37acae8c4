// Bunny, the client for Ruby, unmodified.
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { needsManagement, needsOwnBroker, useBroker } from '../support/broker.ts'
import { because, ClientProgram, whyRefused } from '../support/client-program.ts'
import { closeConnections, useStrainedBroker } from '../support/operator.ts'

const why = whyRefused('ruby', ['-e', "require 'bunny'"])

describe.skipIf(why !== null)(`Bunny${because(why)}`, { timeout: 60_000 }, () => {
  const broker = useBroker()
  const strained = useStrainedBroker()

  function start(what: string, url = broker.url): ClientProgram {
    return new ClientProgram('ruby', [join(import.meta.dirname, 'client.rb'), what], { BROKER: url })
  }

  it('hears of confirms, refusals and returns', async () => {
    expect(await start('confirms').result()).toEqual({
      acked: [true, false],
      nacked: [2],
      returned: '312 NO_ROUTE nowhere lost',
      many: true,
      count: 500,
    })
  })

  it('consumes with a prefetch, and gets back what it did not take', async () => {
    expect(await start('consuming').result()).toEqual({
      order: ['0', '1', '2', '1 again', '3'],
      waiting: 2,
      left: null,
      heartbeat: 60,
    })
  })

  it('gets headers of every type back, and all properties', async () => {
    const properties = { properties: true, timestamp: 1_600_000_000, mode: 2 }
    expect(await start('tables').result()).toEqual({ different: [], count: 10, ...properties })
  })

  it('asks and answers by direct reply-to', async () => {
    const answers = [
      ['one', 'one!'],
      ['two', 'two!'],
    ]
    expect(await start('rpc').result()).toEqual(answers)
  })

  it('hears that the queue of its consumer is gone', async () => {
    expect(await start('cancelled').result()).toBe('the consumer')
  })

  it('sends bodies of many frames, as small as they may be', async () => {
    expect(await start('bodies').result()).toEqual({ whole: Array(6).fill(true), frame: 4096 })
  })

  it('gets dead letters, and the reasons', async () => {
    const letters = ['old: expired 1 Time', 'oldest: maxlen 1 Time', 'rejected: rejected 1 Time']
    expect(await start('dead_letters').result()).toEqual(letters)
  })

  it('is refused with the codes and texts of RabbitMQ', async () => {
    expect(await start('refusals').result()).toEqual([
      "404 NOT_FOUND - no queue 'not there' in vhost '/'",
      "406 PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'bunny.durable' in vhost '/': received 'false' but current is 'true'",
      "406 PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'bunny.fanout' in vhost '/': received 'direct' but current is 'fanout'",
      expect.stringMatching(
        /^406 PRECONDITION_FAILED - invalid arg 'x-overflow' for queue 'amq\.gen-.*' in vhost '\/': /,
      ),
      expect.stringContaining('Authentication with RabbitMQ failed'),
    ])
  })

  it('is told when it is blocked, and when no longer', async () => {
    const program = start('blocked', strained.url)
    await program.says('connected')
    strained.memory(true)
    await program.says('blocked')
    strained.memory(false)
    expect(await program.result()).toEqual(['low on memory', 'unblocked', true])
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
    expect(await program.result()).toEqual(['before', 'after 0', 'after 1'])
  })
})
