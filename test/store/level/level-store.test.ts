// The store on LevelDB keeps to the store's contract, on a disk and on a database in memory.
import { describe, onTestFinished } from 'vitest'
import { MemoryLevel } from 'memory-level'
import type { Store } from '../../../src/core/ports.ts'
import { Turn } from '../../../src/lib/turn.ts'
import type { Database } from '../../../src/store/level/database.ts'
import { type OpenedStore, type StoreHarness, storeContract } from '../../contract/store.ts'
import { openWhole, temporaryDirectory } from '../../support/store.ts'

const monitor = {
  storeFailed(error: Error): void {
    throw error
  },
  storeRecovered: () => undefined,
}

/** Opens stores, each of which is closed when its test ends, and again what they were opened with. */
function harness(options: () => Promise<{ location: string; database?: () => Database }>): StoreHarness {
  const opened = new Map<Store, () => Promise<OpenedStore>>()
  const start = async (open: () => Promise<OpenedStore>): Promise<OpenedStore> => {
    const result = await open()
    opened.set(result.store, open)
    onTestFinished(async () => {
      if (opened.delete(result.store)) await result.store.close()
    })
    return result
  }
  return {
    async open() {
      const given = await options()
      return start(() => openWhole({ turn: new Turn(), monitor, ...given }))
    },
    async reopen(store) {
      const open = opened.get(store)!
      opened.delete(store)
      await store.close()
      return start(open)
    },
  }
}

describe('the store on LevelDB', () => {
  storeContract(harness(async () => ({ location: await temporaryDirectory() })))
})

describe('the store on a database in memory', () => {
  storeContract(
    harness(() => {
      const options = { keyEncoding: 'buffer', valueEncoding: 'buffer', storeEncoding: 'buffer' } as const
      const database = new MemoryLevel<Buffer, Buffer>(options) as unknown as Database
      return Promise.resolve({ location: 'memory', database: () => database })
    }),
  )
})
