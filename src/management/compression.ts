// Answers are compressed for whoever can read them so.
import { Readable } from 'node:stream'
import { constants, createGzip, gzipSync } from 'node:zlib'
import type { FastifyReply, FastifyRequest } from 'fastify'

/** Texts shorter than this gain nothing, in characters. */
const LENGTH_MIN = 1024
/** Texts up to this are compressed at once, in a millisecond or two: work elsewhere would be waited for for longer. */
const AT_ONCE_LENGTH_MAX = 256 * 1024
const OPTIONS = { level: constants.Z_BEST_SPEED } as const

/** What is sent: gzip of it where that is accepted and worth it. Streams stay streams. */
export function compressed(request: FastifyRequest, reply: FastifyReply, payload: unknown): unknown {
  const long = payload instanceof Readable || (typeof payload === 'string' && payload.length >= LENGTH_MIN)
  if (!long || request.method === 'HEAD' || !accepts(request.headers['accept-encoding'])) return payload
  reply.removeHeader('content-length')
  reply.header('content-encoding', 'gzip')
  if (typeof payload === 'string' && payload.length <= AT_ONCE_LENGTH_MAX) return gzipSync(payload, OPTIONS)
  const source = payload instanceof Readable ? payload : Readable.from([payload])
  const gzip = createGzip(OPTIONS)
  source.once('error', (error) => gzip.destroy(error))
  gzip.once('close', () => source.destroy())
  return source.pipe(gzip)
}

function accepts(header: string | string[] | undefined): boolean {
  const text = Array.isArray(header) ? header.join(',') : (header ?? '')
  return /(^|[\s,])gzip\s*(;\s*q\s*=\s*(1(\.0*)?|0?\.0*[1-9]\d*))?\s*(,|$)/i.test(text)
}
