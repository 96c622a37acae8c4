// Definitions that are imported when the broker starts.
import { readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Broker } from '../core/broker.ts'
import { StartError } from '../lib/start-error.ts'
import { parseObject } from './body.ts'
import { HttpError } from './http-error.ts'
import { Slices } from '../lib/slices.ts'
import { importDefinitions } from './definitions/import.ts'

/**
 * Imports a file, or the files of a directory that end in `.json` in the order of their names (RabbitMQ:
 * load_definitions), by the rules of an import over HTTP.
 * @throws StartError when a file cannot be read or imported
 */
export async function loadDefinitions(broker: Broker, path: string): Promise<void> {
  for (const file of await filesAt(path)) {
    try {
      await importDefinitions(broker, parseObject(await readFile(file)), null, new Slices())
    } catch (error) {
      throw new StartError(`The definitions in ${file} cannot be imported: ${reasonOf(error)}.`, { cause: error })
    }
    broker.logger.info({ file }, 'definitions were imported')
  }
}

async function filesAt(path: string): Promise<readonly string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path]
    const names = await readdir(path)
    return names
      .filter((name) => name.endsWith('.json'))
      .toSorted()
      .map((name) => join(path, name))
  } catch (error) {
    throw new StartError(`The definitions in ${path} cannot be read: ${reasonOf(error)}.`, { cause: error })
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof HttpError) return typeof error.reason === 'string' ? error.reason : JSON.stringify(error.reason)
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 'there is nothing of that name'
  return error instanceof Error ? error.message : String(error)
}
