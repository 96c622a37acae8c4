// php-amqplib, unmodified. It logs in by AMQPLAIN.
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { useBroker } from '../support/broker.ts'
import { because, ClientProgram, whyMissing } from '../support/client-program.ts'

const why = whyMissing(['php'], ['/usr/share/php/PhpAmqpLib/autoload.php'])

describe.skipIf(why !== null)(`php-amqplib${because(why)}`, { timeout: 60_000 }, () => {
  const broker = useBroker()

  function ask(what: string): Promise<unknown> {
    const environment = { BROKER_PORT: String(broker.port) }
    return new ClientProgram('php', [join(import.meta.dirname, 'client.php'), what], environment).result()
  }

  it('hears of confirms, refusals and returns', async () => {
    const said = ['ack kept', 'nack refused', '312 NO_ROUTE nowhere lost', 'ack lost']
    expect(await ask('confirms')).toEqual({ said, batch: 300 })
  })

  it('consumes by priority with a prefetch, and gets back what it did not take', async () => {
    expect(await ask('consuming')).toEqual(['of 3', 'of 1', 'of 3 again', 'of 0'])
  })

  it('gets headers of every type back, and all properties', async () => {
    expect(await ask('tables')).toEqual({ headers: true, properties: true })
  })

  it('asks and answers by direct reply-to', async () => {
    expect(await ask('rpc')).toBe('c: one!')
  })

  it('commits and rolls back', async () => {
    expect(await ask('transactions')).toEqual(['committed', null])
  })

  it('sends bodies of many frames', async () => {
    expect(await ask('bodies')).toEqual(Array(5).fill(true))
  })

  it('gets dead letters, and the reasons', async () => {
    expect(await ask('deadLetters')).toEqual(['old: expired 1', 'rejected: rejected 1'])
  })

  it('is refused with the codes and texts of RabbitMQ', async () => {
    expect(await ask('refusals')).toEqual([
      "404 NOT_FOUND - no queue 'not there' in vhost '/'",
      "406 PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.direct' in vhost '/': received 'fanout' but current is 'direct'",
      "404 NOT_FOUND - no queue 'not there' in vhost '/'",
      '403 ACCESS_REFUSED - Login was refused using authentication mechanism AMQPLAIN. For details see the broker logfile.(0, 0)',
    ])
  })
})
