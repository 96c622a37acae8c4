// Fastify is much to read and compile, and comes with the first request, in the middle of everything else: it is loaded
// part by part, a part in each slice.
import { createRequire } from 'node:module'
import type { fastify } from 'fastify'
import type { Slices } from '../lib/slices.ts'

const ROUTER = 'find-my-way'

/** What it would load by itself, as whoever needs it would name it, in an order in which no part is much. */
const PARTS: readonly (readonly [by: 'fastify' | typeof ROUTER, part: string])[] = [
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

/** Loads it, and returns what makes an instance. */
export async function loadFastify(slices: Slices): Promise<typeof fastify> {
  const require = createRequire(import.meta.url)
  const byFastify = createRequire(require.resolve('fastify'))
  const byRouter = createRequire(byFastify.resolve(ROUTER))
  for (const [by, part] of PARTS) {
    await slices.next()
    if (by === 'fastify') byFastify(part)
    else byRouter(part)
  }
  await slices.next()
  // An import would read all of it once more, for the names of its exports.
  const loaded = require('fastify') as { readonly fastify: typeof fastify }
  await slices.next()
  return loaded.fastify
}
