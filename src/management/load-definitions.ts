// Definitions that are imported when the broker starts.
import { createHash } from 'node:crypto'
import { readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Broker } from '../core/broker.ts'
import { StartError } from '../lib/start-error.ts'
import { parseObject } from './body.ts'
import { HttpError } from './http-error.ts'
import { Slices } from '../lib/slices.ts'
import { importDefinitions } from './definitions/import.ts'

/** The global parameter that holds the hash of what was imported last (RabbitMQ). */
const IMPORTED_HASH = 'imported_definition_hash_value'

/**
 * Imports a file, or the files of a directory that end in `.json` in the order of their names (RabbitMQ:
 * load_definitions), by the rules of an import over HTTP. With `skipUnchanged` nothing is imported when the files are
 * those of the last import, byte for byte (RabbitMQ: definitions.skip_if_unchanged).
 * @throws StartError when a file cannot be read or imported
 */
export async function loadDefinitions(broker: Broker, path: string, skipUnchanged = false): Promise<void> {
  const hash = createHash('sha256')
  const contents = await contentsOf(await filesAt(path))
  for (const { content } of contents) hash.update(content)
  const digest = hash.digest('base64')
  if (skipUnchanged && broker.parameters.global(IMPORTED_HASH)?.value === digest) {
    broker.logger.info({ path }, 'definitions are those of the last import, and were left alone')
    return
  }
  for (const { file, content } of contents) {
    try {
      await importDefinitions(broker, parseObject(content), null, new Slices())
    } catch (error) {
      throw unimportable(file, error)
    }
    broker.logger.info({ file }, 'definitions were imported')
  }
  if (skipUnchanged) broker.parameters.putGlobal(IMPORTED_HASH, digest)
}

async function contentsOf(files: readonly string[]): Promise<readonly { file: string; content: Buffer }[]> {
  const read = async (file: string) => {
    try {
      return { file, content: await readFile(file) }
    } catch (error) {
      throw unimportable(file, error)
    }
  }
  return Promise.all(files.map(read))
}

function unimportable(file: string, error: unknown): StartError {
  return new StartError(`The definitions in ${file} cannot be imported: ${reasonOf(error)}.`, { cause: error })
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
