// Directories for files that nobody keeps.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/**
 * A directory that is removed when the test ends well, and kept when it fails: LevelDB has threads of its own, so its
 * files are never the same twice. In memory, where syncing costs nothing, if there is such a place.
 */
export function scratchDirectory(): string {
  const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'leveret-crash-'))
  onTestFinished(({ task }) => {
    if (task.result?.state !== 'fail') rmSync(directory, { recursive: true, force: true })
  })
  return directory
}
