// The bar on a terminal.
import { expect, it } from 'vitest'
import { Progress } from '../../src/ctl/progress.ts'

function terminal(isTTY: boolean) {
  const written: string[] = []
  return { isTTY, written, write: (text: string) => written.push(text) }
}

it('shows how far it is, not too often, and goes away', () => {
  const screen = terminal(true)
  let now = 0
  const progress = new Progress(screen, () => now)
  progress.show('moving', 1, 4)
  now = 50
  progress.show('moving', 2, 4)
  now = 150
  progress.show('moving', 3, 4)
  progress.show('moving', 4, 4)
  progress.clear()
  const counts = screen.written.map((text) => /(\d) of 4/.exec(text)?.[1])
  expect(counts).toEqual(['1', '3', '4', undefined])
  expect(screen.written[2]).toContain(`[${'#'.repeat(30)}]`)
})

it('writes nothing where nobody watches', () => {
  const file = terminal(false)
  const progress = new Progress(file)
  progress.show('moving', 1, 1)
  progress.clear()
  expect(file.written).toEqual([])
})
