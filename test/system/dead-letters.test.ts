// Dead letters: what is rejected or pushed out of a queue, where it goes, and what its headers then tell.
import { describe, expect, it } from 'vitest'
import { itOnlyHere, useBroker } from '../support/broker.ts'
import type { Properties } from '../support/codec.ts'
import { tagged, type Table, type Value } from '../support/field-values.ts'
import type { Delivered, RawChannel } from '../support/raw-client.ts'

const broker = useBroker()

/** A queue `q` whose dead letters go to the queue `dead`, by the default exchange unless told. */
async function mortal(args: Table = {}): Promise<RawChannel> {
  const channel = await broker.channel()
  await channel.queue('dead')
  await channel.queue('q', {
    arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead', ...args },
  })
  return channel
}

async function reject(channel: RawChannel, queue = 'q'): Promise<void> {
  const { tag } = await channel.get(queue)
  channel.send('basic.reject', { 'delivery-tag': tag })
}

function headersOf(delivered: Delivered): Record<string, Value> {
  return delivered.properties.headers as Record<string, Value>
}

function deathsOf(delivered: Delivered): Record<string, Value>[] {
  return headersOf(delivered)['x-death'] as unknown as Record<string, Value>[]
}

/** The deaths as `reason queue count`. */
function told(delivered: Delivered): string[] {
  return deathsOf(delivered).map((death) => `${String(death.reason)} ${String(death.queue)} ${String(death.count)}`)
}

async function ready(channel: RawChannel, queue: string): Promise<unknown> {
  return (await channel.call('queue.declare', { queue, passive: true }))['message-count']
}

describe('a rejected message', () => {
  it('goes to the dead-letter exchange with its key, its properties and the record of its death', async () => {
    const channel = await broker.channel()
    await channel.exchange('graves', 'topic', { internal: true })
    await channel.queue('dead')
    await channel.bind('dead', 'graves', 'a.*')
    await channel.queue('q', { arguments: { 'x-dead-letter-exchange': 'graves' } })
    await channel.bind('q', 'amq.topic', '#')
    const properties: Properties = { 'content-type': 'text/plain', 'delivery-mode': 2, priority: 3, 'message-id': 'm1' }
    channel.publish({ exchange: 'amq.topic', 'routing-key': 'a.b' }, 'body', { ...properties, headers: { mine: 1 } })
    await reject(channel)
    const death = {
      count: 1n,
      reason: 'rejected',
      queue: 'q',
      time: tagged('T', BigInt(Math.floor(broker.clock.now() / 1000))),
      exchange: 'amq.topic',
      'routing-keys': ['a.b'],
    }
    channel.send('basic.get', { queue: 'dead' })
    await channel.expectGetOk({ exchange: 'graves', 'routing-key': 'a.b', redelivered: false }, 'body', {
      ...properties,
      headers: {
        mine: 1,
        'x-death': [death],
        'x-first-death-exchange': 'amq.topic',
        'x-first-death-queue': 'q',
        'x-first-death-reason': 'rejected',
        'x-last-death-exchange': 'amq.topic',
        'x-last-death-queue': 'q',
        'x-last-death-reason': 'rejected',
      },
    })
  })

  it('goes by the key of the queue, if it has one', async () => {
    const channel = await mortal()
    channel.publish({ 'routing-key': 'q' }, 'm')
    await reject(channel)
    channel.send('basic.get', { queue: 'dead' })
    await channel.expectGetOk({ exchange: '', 'routing-key': 'dead' }, 'm')
  })

  it('goes with basic.nack too, all of them in their order', async () => {
    const channel = await mortal()
    for (const body of ['a', 'b', 'c']) channel.publish({ 'routing-key': 'q' }, body)
    for (let i = 0; i < 3; i++) await channel.get('q')
    channel.send('basic.nack', { 'delivery-tag': 3, multiple: true, requeue: false })
    for (const body of ['a', 'b', 'c']) expect((await channel.get('dead', true)).body.toString()).toBe(body)
  })

  it('is no dead letter when it is requeued', async () => {
    const channel = await mortal()
    channel.publish({ 'routing-key': 'q' }, 'm')
    const { tag } = await channel.get('q')
    channel.send('basic.reject', { 'delivery-tag': tag, requeue: true })
    expect(await ready(channel, 'q')).toBe(1)
    expect(await ready(channel, 'dead')).toBe(0)
  })

  it('is dropped when the exchange does not exist, and nobody is told', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { arguments: { 'x-dead-letter-exchange': 'absent' } })
    channel.publish({ 'routing-key': 'q' }, 'm')
    await reject(channel)
    await channel.expectNothing()
    expect(await ready(channel, 'q')).toBe(0)
  })

  it('goes where the alternate exchange leads, when the dead-letter exchange has no binding for it', async () => {
    const channel = await broker.channel()
    await channel.exchange('graves', 'direct', { arguments: { 'alternate-exchange': 'amq.fanout' } })
    await channel.queue('dead')
    await channel.bind('dead', 'amq.fanout')
    await channel.queue('q', { arguments: { 'x-dead-letter-exchange': 'graves' } })
    channel.publish({ 'routing-key': 'q' }, 'm')
    await reject(channel)
    channel.send('basic.get', { queue: 'dead' })
    await channel.expectGetOk({ exchange: 'graves', 'routing-key': 'q' }, 'm')
  })

  it('loses its expiration, which the record keeps as a text', async () => {
    const channel = await mortal()
    channel.publish({ 'routing-key': 'q' }, 'm', { expiration: '60000', 'app-id': 'a' })
    await reject(channel)
    const dead = await channel.get('dead')
    expect(dead.properties).toMatchObject({ 'app-id': 'a' })
    expect(dead.properties).not.toHaveProperty('expiration')
    expect(deathsOf(dead)[0]).toMatchObject({ 'original-expiration': '60000' })
  })

  it('takes its carbon copies along, and they are keys of the dead letter', async () => {
    const channel = await broker.channel()
    for (const queue of ['dead', 'copy']) {
      await channel.queue(queue)
      await channel.bind(queue, 'amq.direct', queue === 'dead' ? 'q' : 'k')
    }
    await channel.queue('q', { arguments: { 'x-dead-letter-exchange': 'amq.direct' } })
    channel.publish({ 'routing-key': 'q' }, 'm', { headers: { CC: ['k'] } })
    await reject(channel)
    for (const queue of ['dead', 'copy']) {
      const dead = await channel.get(queue)
      expect(dead.fields['routing-key']).toBe('q')
      expect(headersOf(dead).CC).toEqual(['k'])
      expect(deathsOf(dead)[0]!['routing-keys']).toEqual(['q', 'k'])
    }
  })

  it('goes by the keys of BCC too, time and again, and nobody reads them', async () => {
    const channel = await broker.channel()
    for (const queue of ['dead', 'blind']) await channel.queue(queue)
    for (const exchange of ['first', 'second']) await channel.exchange(exchange)
    await channel.queue('q', { arguments: { 'x-dead-letter-exchange': 'first' } })
    await channel.queue('middle', { arguments: { 'x-dead-letter-exchange': 'second' } })
    await channel.bind('dead', 'first', 'q')
    await channel.bind('middle', 'first', 'secret')
    await channel.bind('blind', 'second', 'secret')
    channel.publish({ 'routing-key': 'q' }, 'm', { headers: { BCC: ['secret'] } })
    await reject(channel)
    await reject(channel, 'middle')
    for (const queue of ['dead', 'blind']) {
      const dead = await channel.get(queue)
      expect(dead.fields['routing-key']).toBe('q')
      expect(deathsOf(dead)[0]!['routing-keys']).toEqual(['q'])
      expect(JSON.stringify(dead.properties.headers, (_, value: unknown) => String(value))).not.toContain('secret')
      expect(headersOf(dead)).not.toHaveProperty('BCC')
    }
  })

  it('goes by the key of the queue alone, if that has one, also where there was a BCC', async () => {
    const channel = await mortal()
    await channel.queue('secret')
    channel.publish({ 'routing-key': 'q' }, 'm', { headers: { BCC: ['secret'] } })
    expect((await channel.get('secret', true)).body.toString()).toBe('m')
    await reject(channel)
    await channel.get('dead')
    expect(await ready(channel, 'secret')).toBe(0)
  })

  it('keeps its carbon copies, but goes by the key of the queue alone, if that has one', async () => {
    const channel = await mortal()
    channel.publish({ 'routing-key': 'q' }, 'm', { headers: { CC: ['other'] } })
    await channel.queue('other')
    await reject(channel)
    const dead = await channel.get('dead')
    expect(headersOf(dead).CC).toEqual(['other'])
    expect(deathsOf(dead)[0]!['routing-keys']).toEqual(['q', 'other'])
    expect(await ready(channel, 'other')).toBe(0)
  })
})

describe('the record of deaths', () => {
  it('has one entry for each queue and reason, the newest first, with the time of the first', async () => {
    const channel = await mortal()
    await channel.queue('dead2')
    await channel.queue('q2', {
      arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'q', 'x-max-length': 0 },
    })
    channel.publish({ 'routing-key': 'q' }, 'm')
    const first = broker.clock.now()
    await reject(channel)
    let dead = await channel.get('dead', true)
    expect(told(dead)).toEqual(['rejected q 1'])
    await broker.advance(5000)
    // A consumer that publishes what it got makes a new message of it: its history begins again.
    channel.publish({ 'routing-key': 'q2' }, 'm', dead.properties)
    await reject(channel)
    dead = await channel.get('dead', true)
    expect(told(dead)).toEqual(['rejected q 1', 'maxlen q2 1'])
    expect(headersOf(dead)).toMatchObject({ 'x-first-death-queue': 'q2', 'x-first-death-reason': 'maxlen' })
    expect(headersOf(dead)).toMatchObject({ 'x-last-death-queue': 'q', 'x-last-death-reason': 'rejected' })
    expect(deathsOf(dead)[0]).toMatchObject({ exchange: '', 'routing-keys': ['q'] })
    expect(deathsOf(dead)[1]!.time).toEqual(tagged('T', BigInt(Math.floor((first + 5000) / 1000))))
  })

  it('counts repetitions', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { arguments: { 'x-dead-letter-exchange': '' } })
    await channel.queue('q2', { arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'q' } })
    channel.publish({ 'routing-key': 'q' }, 'm')
    const first = broker.clock.now()
    for (let i = 0; i < 3; i++) {
      await reject(channel)
      await broker.advance(1000)
    }
    const dead = await channel.get('q')
    expect(told(dead)).toEqual(['rejected q 3'])
    expect(deathsOf(dead)[0]!.time).toEqual(tagged('T', BigInt(Math.floor(first / 1000))))
  })
})

describe('messages pushed out of a queue', () => {
  it('are dead letters with the reason maxlen, oldest first', async () => {
    const channel = await mortal({ 'x-max-length': 1 })
    for (const body of ['a', 'b', 'c']) channel.publish({ 'routing-key': 'q' }, body)
    for (const body of ['a', 'b']) {
      const dead = await channel.get('dead', true)
      expect([dead.body.toString(), told(dead)]).toEqual([body, ['maxlen q 1']])
    }
    expect((await channel.get('q')).body.toString()).toBe('c')
  })

  it('are the new ones with reject-publish-dlx, and their publisher is refused', async () => {
    const channel = await mortal({ 'x-max-length': 1, 'x-overflow': 'reject-publish-dlx' })
    await channel.call('confirm.select')
    for (const [body, answer] of [
      ['a', 'basic.ack'],
      ['b', 'basic.nack'],
    ] as const) {
      channel.publish({ 'routing-key': 'q' }, body)
      await channel.expect(answer)
    }
    const dead = await channel.get('dead', true)
    expect([dead.body.toString(), told(dead)]).toEqual(['b', ['maxlen q 1']])
    expect(await ready(channel, 'q')).toBe(1)
  })

  it('are none with reject-publish', async () => {
    const channel = await mortal({ 'x-max-length': 0, 'x-overflow': 'reject-publish' })
    channel.publish({ 'routing-key': 'q' }, 'm')
    expect(await ready(channel, 'dead')).toBe(0)
  })

  it('work their way through a chain of full queues', async () => {
    const channel = await broker.channel()
    await channel.queue('q0')
    for (let i = 1; i < 200; i++) {
      const next = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': `q${i - 1}` }
      await channel.queue(`q${i}`, { arguments: { 'x-max-length': 0, ...next } })
    }
    channel.publish({ 'routing-key': 'q199' }, 'm')
    expect(deathsOf(await channel.get('q0', true)).length).toBe(199)
  })
})

describe('what is no dead letter', () => {
  it('is what is purged, deleted or acknowledged', async () => {
    const channel = await mortal()
    for (let i = 0; i < 2; i++) channel.publish({ 'routing-key': 'q' }, 'm')
    const { tag } = await channel.get('q')
    channel.send('basic.ack', { 'delivery-tag': tag })
    await channel.call('queue.purge', { queue: 'q' }, { 'message-count': 1 })
    channel.publish({ 'routing-key': 'q' }, 'm')
    await channel.call('queue.delete', { queue: 'q' }, { 'message-count': 1 })
    expect(await ready(channel, 'dead')).toBe(0)
  })
})

describe('a cycle', () => {
  it('of messages that nobody rejected is broken', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { arguments: { 'x-dead-letter-exchange': '', 'x-max-length': 0 } })
    channel.publish({ 'routing-key': 'q' }, 'm')
    expect(await ready(channel, 'q')).toBe(0)
    await channel.expectNothing()
  })

  it('goes on for as long as clients reject', async () => {
    const channel = await broker.channel()
    await channel.queue('q', { arguments: { 'x-dead-letter-exchange': '' } })
    channel.publish({ 'routing-key': 'q' }, 'm')
    for (let i = 0; i < 20; i++) await reject(channel)
    expect(told(await channel.get('q'))).toEqual(['rejected q 20'])
  })

  itOnlyHere(
    'older ones read the header that clients send',
    'is not seen in the header that a client has sent',
    async () => {
      const channel = await broker.channel()
      await channel.queue('dead')
      await channel.queue('q', {
        arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead', 'x-max-length': 0 },
      })
      const forged = { count: 7n, reason: 'maxlen', queue: 'dead' }
      channel.publish({ 'routing-key': 'q' }, 'm', { headers: { 'x-death': [forged] } })
      expect(told(await channel.get('dead'))).toEqual(['maxlen q 1'])
    },
  )
})

describe('dead letters at least once', () => {
  const LETTERS = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
  const WHY = 'its classic queues have no strategy, and its quorum queues try again in their own time'
  const SURELY = { ...LETTERS, 'x-dead-letter-strategy': 'at-least-once', 'x-overflow': 'reject-publish' }

  for (const type of ['classic', 'quorum']) {
    itOnlyHere(WHY, `are kept by a ${type} queue until their target has room`, async () => {
      const channel = await broker.channel()
      await channel.queue('dead', { durable: true, arguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' } })
      await channel.queue('q', { durable: true, arguments: { 'x-queue-type': type, ...SURELY } })
      channel.publish({ 'routing-key': 'dead' }, 'in the way')
      channel.publish({ 'routing-key': 'q' }, 'm', { 'delivery-mode': 2 })
      await reject(channel)
      await broker.advance(10_000)
      expect(await ready(channel, 'q')).toBe(0)
      expect((await channel.get('dead', true)).body.toString()).toBe('in the way')
      await broker.advance(1000)
      const letter = await channel.get('dead', true)
      expect([letter.body.toString(), ...told(letter)]).toEqual(['m', 'rejected q 1'])
      expect(await ready(channel, 'dead')).toBe(0)
    })

    itOnlyHere(WHY, `are lost at most once, if a ${type} queue is not asked for more`, async () => {
      const channel = await broker.channel()
      await channel.queue('dead', { durable: true, arguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' } })
      const args = { 'x-queue-type': type, ...SURELY, 'x-dead-letter-strategy': 'at-most-once' }
      await channel.queue('q', { durable: true, arguments: args })
      channel.publish({ 'routing-key': 'dead' }, 'in the way')
      channel.publish({ 'routing-key': 'q' }, 'm', { 'delivery-mode': 2 })
      await reject(channel)
      await broker.advance(10_000)
      await channel.get('dead', true)
      await broker.advance(10_000)
      expect(await ready(channel, 'dead')).toBe(0)
    })
  }

  it.each<[string, Value, string]>([
    ['is none', 'twice', 'invalid_dlx_strategy'],
    ['is no text', 7, '{unacceptable_type,signedint}'],
  ])('a strategy that %s is refused', async (_case, strategy, term) => {
    const channel = await broker.channel()
    const args = { 'x-queue-type': 'quorum', ...LETTERS, 'x-dead-letter-strategy': strategy }
    channel.send('queue.declare', { queue: 'q', durable: true, arguments: args })
    const text = `PRECONDITION_FAILED - invalid arg 'x-dead-letter-strategy' for queue 'q' in vhost '/': ${term}`
    await channel.expectChannelClose(406, text, 'queue.declare')
  })
})
