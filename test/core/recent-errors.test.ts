import { describe, expect, it } from 'vitest'
import { RecentErrors, type ErrorReport } from '../../src/core/recent-errors.ts'

function report(user: string | null, time: number): ErrorReport {
  const where = { scope: 'channel', connection: 'a:1 -> b:2', channel: 1, vhost: '/' } as const
  return { ...where, user, code: 404, text: `error ${time}`, time }
}

describe('recent errors', () => {
  it('are kept by user, the latest first', () => {
    const errors = new RecentErrors()
    for (const [user, time] of [
      ['ann', 1],
      ['bob', 2],
      ['ann', 3],
      [null, 4],
    ] as const)
      errors.report(report(user, time))
    expect(errors.of('ann').map(({ time }) => time)).toEqual([3, 1])
    expect(errors.of(null).map(({ time }) => time)).toEqual([4])
    expect(errors.all().map(({ time }) => time)).toEqual([4, 3, 2, 1])
  })

  it('are the last 32 of each user', () => {
    const errors = new RecentErrors()
    errors.report(report('bob', 0))
    for (let time = 1; time <= 100; time++) errors.report(report('ann', time))
    expect(errors.of('ann').map(({ time }) => time)).toEqual(Array.from({ length: 32 }, (_, index) => 100 - index))
    expect(errors.of('bob')).toHaveLength(1)
  })

  it('are forgotten of the user who has been quiet for longest when there are more than 256', () => {
    const errors = new RecentErrors()
    for (let user = 0; user < 256; user++) errors.report(report(`user ${user}`, user))
    errors.report(report('user 0', 256))
    errors.report(report('one more', 257))
    expect(errors.of('user 1')).toEqual([])
    expect(errors.of('user 0')).toHaveLength(2)
    expect(errors.all()).toHaveLength(257)
  })

  it('go with their user', () => {
    const errors = new RecentErrors()
    errors.report(report('ann', 1))
    errors.userDeleted('ann')
    expect(errors.all()).toEqual([])
  })
})
