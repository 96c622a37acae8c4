// What a trace has written is bounded.
import { expect, it } from 'vitest'
import { TraceLog } from '../../src/management/traces/trace-log.ts'

it('forgets its oldest lines when there are too many bytes', () => {
  const log = new TraceLog(10)
  for (const line of ['aaa\n', 'bbb\n', 'c\n']) log.add(line)
  expect([[...log.lines()], log.bytes]).toEqual([['aaa\n', 'bbb\n', 'c\n'], 10])
  log.add('é\n')
  expect([[...log.lines()], log.bytes]).toEqual([['bbb\n', 'c\n', 'é\n'], 9])
})

it('leaves out a line that has no room by itself', () => {
  const log = new TraceLog(5)
  log.add('aaa\n')
  log.add('x'.repeat(6))
  expect([...log.lines()]).toEqual(['aaa\n'])
})
