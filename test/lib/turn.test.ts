// Turns: their stages, in order, and what is enlisted while they run.
import { describe, expect, it } from 'vitest'
import { Stage, Turn, type TurnTask } from '../../src/lib/turn.ts'

const turn = new Turn()

/** Resolves when the turns that are scheduled by now have run. */
function turnsRun(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function task(runStage: () => void): TurnTask {
  return { runStage }
}

/** Enlists a task that notes its name, for each of these stages. */
function noting(log: string[], name: string, ...stages: Stage[]): void {
  for (const stage of stages)
    turn.enlist(
      stage,
      task(() => log.push(`${name} ${stage}`)),
    )
}

describe('a turn', () => {
  it('runs nothing before it ends', async () => {
    const log: string[] = []
    noting(log, 'a', Stage.store)
    await Promise.resolve()
    expect(log).toEqual([])
    await turnsRun()
    expect(log).toEqual(['a 0'])
  })

  it('runs its stages in order, and the tasks of a stage as they were enlisted', async () => {
    const log: string[] = []
    noting(log, 'a', Stage.read, Stage.socket, Stage.confirm, Stage.store)
    noting(log, 'b', Stage.read, Stage.socket, Stage.confirm, Stage.store)
    await turnsRun()
    expect(log).toEqual(['a 0', 'b 0', 'a 1', 'b 1', 'a 2', 'b 2', 'a 3', 'b 3'])
  })

  it('runs a task once for each time it is enlisted', async () => {
    const log: string[] = []
    noting(log, 'a', Stage.store)
    await turnsRun()
    await turnsRun()
    expect(log).toEqual(['a 0'])
  })

  it('runs in the same turn what a task enlists for a later stage', async () => {
    const log: string[] = []
    turn.enlist(
      Stage.store,
      task(() => {
        noting(log, 'late', Stage.confirm, Stage.read)
        setImmediate(() => log.push('next turn'))
      }),
    )
    await turnsRun()
    expect(log).toEqual(['late 1', 'late 3'])
    await turnsRun()
    expect(log.at(-1)).toBe('next turn')
  })

  it('keeps for the next turn what a task enlists for its own stage or an earlier one', async () => {
    const log: string[] = []
    turn.enlist(
      Stage.confirm,
      task(() => {
        log.push('first')
        noting(log, 'again', Stage.confirm, Stage.store)
      }),
    )
    noting(log, 'first', Stage.socket)
    await turnsRun()
    expect(log).toEqual(['first', 'first 2'])
    await turnsRun()
    expect(log).toEqual(['first', 'first 2', 'again 0', 'again 1'])
  })

  it('goes on for as long as a task enlists itself, a turn at a time', async () => {
    let runs = 0
    const again = task(() => {
      if (++runs < 5) turn.enlist(Stage.socket, again)
    })
    turn.enlist(Stage.socket, again)
    for (let turns = 1; turns <= 5; turns++) {
      await turnsRun()
      expect(runs).toBe(turns)
    }
    await turnsRun()
    expect(runs).toBe(5)
  })

  it('serves what is enlisted between turns by what an earlier turn left behind', async () => {
    const log: string[] = []
    turn.enlist(
      Stage.read,
      task(() => noting(log, 'left', Stage.read)),
    )
    await turnsRun()
    noting(log, 'new', Stage.store)
    await turnsRun()
    expect(log).toEqual(['new 0', 'left 3'])
  })
})
