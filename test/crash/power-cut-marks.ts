// What the process that the power goes away from, and the test that looks at its disk, have in common.
import type { LostMessages, StoreMonitor } from '../../src/core/ports.ts'
import type { FoundState, StoreEvent } from './store-model.ts'
import { StoreModel } from './store-model.ts'

/** The smallest that LevelDB takes, so that tables are written and compacted all the while. */
export const SMALL_TABLES = { writeBufferSize: 64 * 1024, maxFileSize: 1024 * 1024 }

/** No write fails, and nothing is damaged. */
export const failingMonitor: StoreMonitor = {
  storeFailed(error: Error): void {
    throw error
  },
  storeRecovered: () => undefined,
  messagesLost({ log, first, last, error }: LostMessages): void {
    throw new Error(`messages ${first} to ${last} of log ${log} are lost`, { cause: error })
  },
  damageFound(damage: Error): void {
    throw damage
  },
}

interface FoundMark {
  readonly kind: 'opened'
  readonly definitions: readonly [string, string][]
  readonly logs: readonly [log: number, next: number, messages: readonly [number, number, boolean, number][]][]
}

/** What a store held when it was opened, as one line. */
export function foundToJson({ definitions, logs }: FoundState): string {
  const mark: FoundMark = {
    kind: 'opened',
    definitions: [...definitions],
    logs: Array.from(logs, ([log, { next, messages }]) => [
      log,
      next,
      Array.from(messages, ([position, { size, redelivered, tried }]) => [position, size, redelivered, tried]),
    ]),
  }
  return `${JSON.stringify(mark)}\n`
}

function foundFromMark({ definitions, logs }: FoundMark): FoundState {
  return {
    definitions: new Map(definitions),
    logs: new Map(
      logs.map(([log, next, messages]) => [
        log,
        {
          next,
          messages: new Map(
            messages.map(([position, size, redelivered, tried]) => [position, { size, redelivered, tried }]),
          ),
        },
      ]),
    ),
  }
}

/** What a process noted: what it did, and what its store held when it was opened. */
export type Mark = StoreEvent | { readonly kind: 'opened'; readonly found: FoundState }

export function parseMark(line: string): Mark {
  const mark = JSON.parse(line) as StoreEvent | FoundMark
  return mark.kind === 'opened' ? { kind: 'opened', found: foundFromMark(mark) } : mark
}

/** Follows what a process noted. */
export function modelAfter(marks: readonly Mark[]): StoreModel {
  const model = new StoreModel()
  for (const mark of marks) {
    if (mark.kind === 'opened') model.opened(mark.found)
    else model.apply(mark)
  }
  return model
}
