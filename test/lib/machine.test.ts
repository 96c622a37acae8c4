// What the broker takes for its memory.
import { totalmem } from 'node:os'
import { afterEach, expect, it, vi } from 'vitest'
import { memoryBytes } from '../../src/lib/machine.ts'

afterEach(() => vi.restoreAllMocks())

it.each([
  ['its control group allows it, where that is less than the machine has', 512 * 2 ** 20, 512 * 2 ** 20],
  ['the machine has, where its control group has no limit', 2 ** 64, totalmem()],
  ['the machine has, where its control group would allow more', totalmem() + 1, totalmem()],
  ['the machine has, where there are no control groups', 0, totalmem()],
])('is what %s', (_what, constrained, expected) => {
  vi.spyOn(process, 'constrainedMemory').mockReturnValue(constrained)
  expect(memoryBytes()).toBe(expected)
})
