// Runs scripts with the system's Python, whose packages come from the distribution.
import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'

const python = process.env['INTEROP_PYTHON'] ?? '/usr/bin/python3'

/** Why no script that imports these modules can run; null when it can. */
export function whyNoPython(...modules: readonly string[]): string | null {
  const { error, status } = spawnSync(python, ['-c', `import ${modules.join(', ')}`], { encoding: 'utf8' })
  if (error !== undefined) return `there is no ${python}`
  return status === 0 ? null : `${python} has no ${modules.join(', ')}`
}

/** Runs a script to its end, and reads what it prints as JSON. Throws with what it said when it fails. */
export async function runPython(
  words: readonly string[],
  options: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> },
): Promise<unknown> {
  const { stdout } = await promisify(execFile)(python, [...words], { ...options, env: environment(options.env) })
  return JSON.parse(stdout) as unknown
}

/** Starts a script that runs until it is ended. */
export function startPython(
  words: readonly string[],
  options: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> },
): ChildProcess {
  return spawn(python, [...words], { ...options, env: environment(options.env), stdio: 'ignore' })
}

/** Ends a script in order, and waits until it is gone. */
export async function endPython(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}

function environment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '', PYTHONDONTWRITEBYTECODE: '1', LC_ALL: 'C.UTF-8', ...more }
}
