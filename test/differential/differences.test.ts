// Which transcripts may part, because dead letters are where they go before anything else happens.
import { describe, expect, it } from 'vitest'
import { partsByDrop, partsByHistory } from './differences.ts'

const STEP = '5: 0/2 close'
const AFTER = '  q2: 0 ready, 0 consumers'

function delivery(body: string, reason: string | null, consumer = 'c3'): string {
  const headers = reason === null ? {} : { 'x-death': [{ count: { l: '1' }, exchange: '', queue: 'q0', reason }] }
  return `  1/2 ${consumer} basic.deliver {"exchange":"","routing-key":"q2"} ${JSON.stringify({ headers })} ${body}`
}

describe('transcripts may part', () => {
  it('where only one of two messages was dropped elsewhere', () => {
    const expected = [STEP, delivery('m1', null)]
    expect(partsByDrop(expected, [STEP, delivery('m2', 'maxlen')])).toBe(true)
    expect(partsByDrop(expected, [STEP, delivery('m2', 'rejected')])).toBe(false)
    expect(partsByDrop(expected, [STEP, delivery('m2', null)])).toBe(false)
  })

  const letters = [delivery('m3', 'maxlen'), delivery('m4', 'maxlen')]

  it('where consumers of RabbitMQ get what dead letters push out here', () => {
    const first = [delivery('m1', 'maxlen'), delivery('m2', 'maxlen')]
    expect(partsByDrop([STEP, ...first, ...letters, AFTER], [STEP, ...letters, AFTER])).toBe(true)
    const others = [delivery('m5', 'maxlen', 'c4'), delivery('m6', 'maxlen', 'c4')]
    const before = '  q2: 2 ready, 0 consumers'
    expect(partsByDrop([STEP, ...first, ...letters, ...others, before], [STEP, ...letters, others[1]!, AFTER])).toBe(
      true,
    )
  })

  it('but not where anything else differs then', () => {
    const first = [delivery('m1', 'maxlen')]
    expect(partsByDrop([STEP, ...first, ...letters, AFTER], [STEP, ...letters, '  q2: 1 ready'])).toBe(false)
    expect(partsByDrop([STEP, ...letters, AFTER], [STEP, ...first, ...letters, AFTER])).toBe(false)
    expect(partsByDrop([STEP, ...letters, AFTER], [STEP, delivery('m4', 'maxlen'), delivery('m3', 'maxlen')])).toBe(
      false,
    )
  })

  it('where dead letters were delivered to who was about to end', () => {
    const got = (redelivered: boolean, headers: object): string =>
      `  q1 basic.get-ok {"exchange":"","redelivered":${redelivered},"routing-key":"q1"} ${JSON.stringify(headers)} m4`
    const died = { 'x-death': [{ reason: 'maxlen' }] }
    expect(partsByDrop([STEP, got(true, died), AFTER], [STEP, got(false, died), AFTER])).toBe(true)
    expect(partsByDrop([STEP, got(false, died), AFTER], [STEP, got(true, died), AFTER])).toBe(false)
    expect(partsByDrop([STEP, got(true, {}), AFTER], [STEP, got(false, {}), AFTER])).toBe(false)
    expect(partsByDrop([STEP, got(true, died), AFTER], [STEP, got(false, died), STEP])).toBe(false)
  })

  it('but not where what RabbitMQ has more is no dead letter of a queue that is too long, nor followed by one', () => {
    const returned = [delivery('m3', 'rejected')]
    expect(partsByDrop([STEP, delivery('m1', 'rejected'), ...returned], [STEP, ...returned])).toBe(false)
  })
})

describe('what RabbitMQ takes for no circle', () => {
  const often = (...reasons: string[]): string =>
    `  q1 basic.get-ok {} ${JSON.stringify(reasons.map((reason) => ({ reason })))} m`

  it('is a message that was rejected and has died twice besides', () => {
    expect(partsByHistory([AFTER, often('maxlen', 'rejected', 'maxlen'), STEP], [STEP])).toBe(true)
  })

  it.each([
    ['has died no more than twice', [often('maxlen', 'rejected')], []],
    ['was never rejected', [often('maxlen', 'expired', 'maxlen')], []],
    ['both have', [often('maxlen', 'rejected', 'maxlen')], [often('maxlen', 'rejected', 'maxlen')]],
    ['stands beside another', [often('maxlen', 'rejected', 'maxlen'), often('maxlen')], []],
  ])('and none that %s', (_case, expected, actual) => {
    expect(partsByHistory(expected, actual)).toBe(false)
  })
})
