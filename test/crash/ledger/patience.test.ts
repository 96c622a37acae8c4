// A slow broker is waited for, however slow it is; one that gets nowhere is not.
import { expect, it } from 'vitest'
import { Patience, SilentBrokerError } from './patience.ts'

const patience = new Patience(1)

/** Resolves after so many turns of the event loop. */
async function turns(count: number, each: () => void = () => undefined): Promise<string> {
  for (let turn = 0; turn < count; turn++) {
    await new Promise((resolve) => setTimeout(resolve))
    each()
  }
  return 'done'
}

it('waits for what takes longer than anything may stand still, as long as it gets on', async () => {
  let progress = 0
  const work = turns(600, () => progress++)
  expect(await patience.wait('it', () => Math.floor(progress / 20), work)).toBe('done')
})

it('gives up what gets nowhere, and says what it was', async () => {
  const never = new Promise(() => undefined)
  await expect(patience.wait('an answer', () => 7, never)).rejects.toThrow(new SilentBrokerError('an answer'))
})

it('passes on what the work ends with', async () => {
  const refused = Promise.reject(new Error('refused'))
  await expect(patience.wait('it', () => 0, refused)).rejects.toThrow('refused')
})
