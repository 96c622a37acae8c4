// The memory store keeps to the store's contract.
import { describe } from 'vitest'
import { Turn } from '../../../src/lib/turn.ts'
import { MemoryStore } from '../../../src/store/memory/memory-store.ts'
import { storeContract } from '../../contract/store.ts'

describe('the memory store', () => {
  storeContract({
    open: () => Promise.resolve({ store: new MemoryStore({ turn: new Turn() }), definitions: [] }),
    reopen: null,
  })
})
