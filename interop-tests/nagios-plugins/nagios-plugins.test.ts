// nagios-plugins-rabbitmq, unmodified: checks in Perl that ask the HTTP API, for Nagios and Icinga.
import { spawnSync } from 'node:child_process'
import { hostname } from 'node:os'
import { describe, expect, it } from 'vitest'
import { connectTo } from '../support/amqplib.ts'
import { useBroker } from '../support/broker.ts'
import { because, whyMissing } from '../support/client-program.ts'
import { queueName } from '../support/names.ts'

const why = whyMissing(['check_rabbitmq_overview'])

describe.skipIf(why !== null)(`nagios-plugins-rabbitmq${because(why)}`, { timeout: 60_000 }, () => {
  const broker = useBroker()

  function check(what: string, ...words: readonly string[]): { code: number | null; says: string } {
    const { port } = new URL(broker.managementUrl)
    const where = ['-H', '127.0.0.1', '--port', port, '-u', 'guest', '-p', 'guest']
    const { status, stdout } = spawnSync(`check_rabbitmq_${what}`, [...where, ...words], { encoding: 'utf8' })
    return { code: status, says: stdout.trim() }
  }

  it('find the broker alive, and count what it has', () => {
    expect(check('aliveness')).toEqual({ code: 0, says: 'RABBITMQ_ALIVENESS OK - vhost: /' })
    const counted = /^RABBITMQ_OBJECTS OK - .*vhost=\d+;; exchange=\d+;; binding=\d+;; queue=\d+;; channel=\d+;;$/
    expect(check('objects')).toEqual({ code: 0, says: expect.stringMatching(counted) })
    const totals = /^RABBITMQ_OVERVIEW OK - messages OK \(\d+\) messages_ready OK \(\d+\) messages_unacknowledged OK/
    expect(check('overview')).toEqual({ code: 0, says: expect.stringMatching(totals) })
  })

  it('warn of messages in a queue by their number', async () => {
    const channel = await (await connectTo(broker)).createConfirmChannel()
    const { queue } = await channel.assertQueue(queueName())
    for (let i = 0; i < 5; i++) channel.sendToQueue(queue, Buffer.from('waits'))
    await channel.waitForConfirms()
    const words = ['--queue', queue, '-w', '4,2,10,10', '-c', '20,4,10,10']
    const says = expect.stringMatching(/^RABBITMQ_QUEUE CRITICAL - messages_ready CRITICAL \(5\)/)
    expect(check('queue', ...words)).toEqual({ code: 2, says })
    expect(check('queue', '--queue', 'not there').code).toBe(2)
    await channel.deleteQueue(queue)
  })

  it('find connections that run, and the node within its limits, by the name that RabbitMQ would give it', async () => {
    await connectTo(broker)
    const connections = 'RABBITMQ_CONNECTIONS OK - connections OK (1) connections_notrunning OK (0)'
    expect(check('connections')).toEqual({ code: 0, says: expect.stringContaining(connections) })
    const node = ['-n', hostname()]
    const server = check('server', ...node, '-w', '80,80,80,80', '-c', '90,90,90,90')
    const parts = /^RABBITMQ_SERVER OK - Memory OK \(.*%\) Process OK \(.*%\) FD OK \(.*%\) Sockets OK \(.*%\)/
    expect(server).toEqual({ code: 0, says: expect.stringMatching(parts) })
    expect(check('watermark', ...node).code).toBe(0)
    expect(check('partition', ...node).code).toBe(0)
  })
})
