// The AMQP transport of Symfony Messenger, unmodified.
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { useBroker } from '../support/broker.ts'
import { because, ClientProgram, whyMissing, whyRefused } from '../support/client-program.ts'

const LIBRARY = '/usr/share/php/Symfony/Component/Messenger/Bridge/Amqp/autoload.php'

const why = whyMissing(['php'], [LIBRARY]) ?? whyRefused('php', ['-r', "extension_loaded('amqp') || exit(1);"])

describe.skipIf(why !== null)(`Symfony Messenger${because(why)}`, { timeout: 60_000 }, () => {
  const broker = useBroker()

  it('sends jobs by priority, again after a failure, and later', async () => {
    const program = new ClientProgram('php', [join(import.meta.dirname, 'client.php')], { BROKER: broker.url })
    expect(await program.result()).toEqual({ count: 2, handled: ['b', 'a', 'b again, retry 1', 'later'], left: 0 })
  })
})
