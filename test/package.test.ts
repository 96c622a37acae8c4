// What npm packs, from sources that nobody has built.
import { execFile } from 'node:child_process'
import { cp, readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { temporaryDirectory } from './support/store.ts'

const ROOT = join(import.meta.dirname, '..')
const SOURCES = [
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'rolldown.config.ts',
  'src',
  'README.md',
  'CHANGELOG.md',
  'LICENSE',
]

interface Packed {
  readonly files: readonly { readonly path: string }[]
}

it('holds the program and the library with its types, built just now', { timeout: 120_000 }, async () => {
  const clone = await temporaryDirectory()
  for (const name of SOURCES) await cp(join(ROOT, name), join(clone, name), { recursive: true })
  await symlink(join(ROOT, 'node_modules'), join(clone, 'node_modules'))
  const { stdout } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json'], { cwd: clone })
  const [packed] = JSON.parse(stdout) as readonly Packed[]
  const paths = packed!.files.map(({ path }) => path)
  const { bin, exports } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
    readonly bin: { readonly leveret: string }
    readonly exports: { readonly '.': { readonly types: string; readonly default: string } }
  }
  const named = [bin.leveret, exports['.'].types, exports['.'].default].map((path) => path.replace('./', ''))
  expect(paths).toEqual(expect.arrayContaining([...named, 'README.md', 'CHANGELOG.md', 'LICENSE', 'package.json']))
  expect(paths.filter((path) => path.startsWith('src'))).toEqual([])
})
