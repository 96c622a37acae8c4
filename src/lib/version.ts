// This program's own version, from its package.json.
import { readFileSync } from 'node:fs'

/** The RabbitMQ version whose behaviour clients find here: the last with global prefetch and transient queues intact. */
export const RABBITMQ_VERSION = '3.13.7'

/** Leveret's version, as `0.1.0`. */
export const VERSION = ownVersion()

function ownVersion(): string {
  // It lies as far from here as from what is built of this, which is in dist/chunks.
  const about: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  if (typeof about === 'object' && about !== null && 'version' in about) return String(about.version)
  throw new Error('package.json names no version')
}
