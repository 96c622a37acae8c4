// The AMQP extension of PHP, which is made of librabbitmq, unmodified.
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { useBroker } from '../support/broker.ts'
import { because, ClientProgram, whyRefused } from '../support/client-program.ts'

const why = whyRefused('php', ['-r', "extension_loaded('amqp') || exit(1);"])

describe.skipIf(why !== null)(`php-amqp${because(why)}`, { timeout: 60_000 }, () => {
  const broker = useBroker()

  function ask(what: string): Promise<unknown> {
    const environment = { BROKER_PORT: String(broker.port) }
    return new ClientProgram('php', [join(import.meta.dirname, 'client.php'), what], environment).result()
  }

  it('hears of confirms, refusals and returns', async () => {
    expect(await ask('confirms')).toEqual(['ack 1', 'nack 2', '312 NO_ROUTE nowhere lost', 'ack 3'])
  })

  it('consumes what headers choose, and gets back what it did not take', async () => {
    const headers = '{"colour":"red","n":7,"deep":{"list":["x","y"]}}'
    expect(await ask('consuming')).toEqual(['one', headers, 'two', 'one again', 'three'])
  })

  it('is refused with the codes and texts of RabbitMQ', async () => {
    const login =
      'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.'
    expect(await ask('refusals')).toEqual([
      "Server channel error: 404, message: NOT_FOUND - no queue 'not there' in vhost '/'",
      "Server channel error: 406, message: PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.topic' in vhost '/': received 'direct' but current is 'topic'",
      `Server connection error: 403, message: ${login} - Potential login failure.`,
    ])
  })
})
