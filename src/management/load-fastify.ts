// Fastify is much to read and compile, and comes with the first request, in the middle of everything else: it is loaded
// part by part, a part in each slice.
import { createRequire } from 'node:module'
import type { fastify } from 'fastify'
import type { Slices } from '../lib/slices.ts'

const ROUTER = 'find-my-way'

type Part = readonly [by: 'fastify' | typeof ROUTER, part: string]

/**
 * What it would load by itself, as whoever needs it would name it, in an order in which no part is much. Another version
 * may have other parts: what is not there is passed over, and comes at the end with all the rest.
 */
const PARTS: readonly Part[] = [
  ['fastify', 'node:http2'],
  ['fastify', 'semver/internal/re.js'],
  ['fastify', 'semver/classes/range.js'],
  ['fastify', 'semver'],
  ['fastify', 'avvio'],
  [ROUTER, 'fast-querystring'],
  [ROUTER, 'safe-regex2'],
  [ROUTER, './lib/node.js'],
  ['fastify', ROUTER],
  ['fastify', '@fastify/proxy-addr'],
  ['fastify', './lib/request.js'],
  ['fastify', './lib/logger-factory.js'],
  ['fastify', './lib/reply.js'],
  ['fastify', './lib/server.js'],
  ['fastify', './lib/content-type-parser.js'],
  ['fastify', './lib/schema-controller.js'],
  ['fastify', './lib/route.js'],
  ['fastify', './lib/plugin-utils.js'],
]

/** Loads it, these parts before the rest, and returns what makes an instance. */
export async function loadFastify(slices: Slices, parts = PARTS): Promise<typeof fastify> {
  const require = createRequire(import.meta.url)
  const byFastify = createRequire(require.resolve('fastify'))
  const router = resolved(byFastify, ROUTER)
  const byRouter = router === null ? null : createRequire(router)
  for (const [by, part] of parts) {
    const whose = by === 'fastify' ? byFastify : byRouter
    const path = whose === null ? null : resolved(whose, part)
    if (path === null) continue
    await slices.next()
    require(path)
  }
  await slices.next()
  // An import would read all of it once more, for the names of its exports.
  const loaded = require('fastify') as { readonly fastify: typeof fastify }
  await slices.next()
  return loaded.fastify
}

/** Where a part is; null when there is no such part. */
function resolved(require: NodeJS.Require, part: string): string | null {
  try {
    return require.resolve(part)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'MODULE_NOT_FOUND' || code === 'ERR_PACKAGE_PATH_NOT_EXPORTED') return null
    throw error
  }
}
