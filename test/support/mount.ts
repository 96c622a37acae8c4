// Small file systems for tests, where this process may mount some.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** Why nothing can be mounted here; empty when it can. */
export const whyNoMounts = reason()

function reason(): string {
  if (process.platform !== 'linux') return 'only on Linux'
  const place = mkdtempSync(join(tmpdir(), 'leveret-mount-'))
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'leveret', place]).status === 0
  if (mounted) execFileSync('umount', [place])
  rmdirSync(place)
  return mounted ? '' : 'without the right to mount'
}

/** A file system in memory of so many MiB. It is gone when the test ends. */
export function smallFileSystem(mebibytes: number): string {
  return mount(['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'leveret'])
}

/** Another view of a directory, in which nothing can be written. */
export function readOnlyView(directory: string): string {
  const place = mount(['--bind', directory])
  execFileSync('mount', ['-o', 'remount,ro,bind', place])
  return place
}

function mount(words: readonly string[]): string {
  const place = mkdtempSync(join(tmpdir(), 'leveret-mount-'))
  execFileSync('mount', [...words, place])
  onTestFinished(() => {
    // Lazily: what still runs there is not in the way of what comes next.
    execFileSync('umount', ['--lazy', place])
    rmdirSync(place)
  })
  return place
}
