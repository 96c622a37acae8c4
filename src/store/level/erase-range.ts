// Deletes all records in a range of keys, a slice in each batch, beside whatever else is written.
import type { KeyRange } from './database.ts'
import type { StoreContext } from './log-pages.ts'

/** Records that one batch deletes. */
const ERASE_AT_ONCE = 1000

/** Returns whether all of them are deleted: when the store is closed meanwhile, the next start goes on with it. */
export async function eraseRange({ committer, database }: StoreContext, range: KeyRange): Promise<boolean> {
  while (!committer.closing) {
    try {
      await committer.readable()
      const iterator = database.iterator(range)
      const found = await iterator.nextv(ERASE_AT_ONCE)
      await iterator.close()
      if (committer.closing) return false
      if (found.length === 0) return true
      for (const [key] of found) committer.change({ type: 'del', key })
      await new Promise<void>((resolve) => committer.whenDurable(resolve))
    } catch (error) {
      if (!('code' in (error as Error))) throw error
      // It was closed to be opened again: then it goes on. Otherwise it is closed for good, or cannot be read.
      if (!committer.reopening) return false
    }
  }
  return false
}
