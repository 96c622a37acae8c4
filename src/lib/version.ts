// This program's own version, from its package.json.
import { createRequire } from 'node:module'

/** The RabbitMQ version whose behaviour clients find here: the last with global prefetch and transient queues intact. */
export const RABBITMQ_VERSION = '3.13.7'

/** Leveret's version, as `0.1.0`. */
export const VERSION = ownVersion()

function ownVersion(): string {
  // By its own name it is found from the sources as from what is built of them.
  const about: unknown = createRequire(import.meta.url)('leveret/package.json')
  if (typeof about === 'object' && about !== null && 'version' in about) return String(about.version)
  throw new Error('package.json names no version')
}
