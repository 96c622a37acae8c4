// What the machine gives this process.
import { statfs } from 'node:fs/promises'
import { totalmem } from 'node:os'

/** The memory that this process may use, in bytes: the machine's, or less where a control group limits it. */
export function memoryBytes(): number {
  const total = totalmem()
  const constrained = process.constrainedMemory()
  return constrained > 0 && constrained < total ? constrained : total
}

/** The bytes that are free for this process on the file system that holds `path`. */
export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path)
  return bavail * bsize
}
