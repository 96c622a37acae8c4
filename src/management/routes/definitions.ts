// Definitions: everything that is declared, out to a file and back in (RabbitMQ's format, 3.x and 4.x).
import { allSections, fileOf, vhostSections, type File } from '../definitions/file.ts'
import { importDefinitions, type Note } from '../definitions/import.ts'
import { badRequest, type JsonObject } from '../http-error.ts'
import { uploaded } from '../multipart.ts'
import { parseLargeObject } from '../large-body.ts'
import { NO_CONTENT, Reply, TextStream, targetVHost, type Answer, type Call, type Route } from '../route.ts'

const BODY_TYPES = ['application/json', 'multipart/form-data'] as const
/** Characters of the header that names what was not honoured. The log has all of it. */
const WARNING_LENGTH_MAX = 2000

const needs = 'administrator'
const body = { long: 'lists', bodyTypes: BODY_TYPES } as const

export const definitionRoutes: readonly Route[] = [
  { method: 'GET', path: '/api/definitions', needs, handle: exportAll },
  { method: 'GET', path: '/api/all-configuration', needs, handle: exportAll },
  { method: 'POST', path: '/api/definitions', needs, ...body, handle: importAll },
  { method: 'POST', path: '/api/all-configuration', needs, ...body, handle: importAll },
  { method: 'GET', path: '/api/definitions/:vhost', needs, handle: exportVHost },
  { method: 'POST', path: '/api/definitions/:vhost', needs, ...body, handle: importVHost },
]

async function exportAll(call: Call) {
  return written(call, await fileOf(allSections(call), call.slices))
}

async function exportVHost(call: Call) {
  const vhost = call.broker.vhosts.get(call.params['vhost'] ?? '')
  // RabbitMQ: a bad request here, although importing into one that is not there is a 404.
  if (vhost === undefined) throw badRequest('vhost_not_found')
  return written(call, await fileOf(vhostSections(call, vhost), call.slices))
}

/** The file, as a download when a name for it is given; nothing when whoever asks has it already. */
function written(call: Call, { pieces, etag }: File): Answer {
  if (known(call.headers['if-none-match'], etag)) return new Reply(304, undefined, { etag })
  const name = call.query['download']?.replaceAll(/[^\w.-]/g, '_')
  const disposition = name === undefined ? {} : { 'content-disposition': `attachment; filename="${name}"` }
  return new TextStream('application/json', pieces, { etag, ...disposition })
}

function known(header: string | string[] | undefined, etag: string): boolean {
  if (typeof header !== 'string') return false
  return header.split(',').some((one) => one.trim() === '*' || one.trim().replace(/^W\//, '') === etag)
}

async function importAll(call: Call) {
  const { fields, redirect } = await definitionsOf(call)
  return answered(call, await importDefinitions(call.broker, fields, null, call.slices, call.user.name), redirect)
}

async function importVHost(call: Call) {
  const vhost = targetVHost(call)
  const { fields, redirect } = await definitionsOf(call)
  return answered(call, await importDefinitions(call.broker, fields, vhost, call.slices, call.user.name), redirect)
}

/** The file: the body itself, or a part of a form. */
async function definitionsOf(
  call: Call,
): Promise<{ readonly fields: JsonObject; readonly redirect: string | undefined }> {
  const { slices, bytes } = call
  const type = call.headers['content-type']
  const form = typeof type === 'string' && type.startsWith('multipart/form-data') ? uploaded(type, bytes) : null
  return { fields: await parseLargeObject(form?.file ?? bytes, slices), redirect: form?.redirect }
}

/**
 * RabbitMQ answers 204. What was not honoured is named in the header `warning`, and in a body for whoever asks for one
 * by `Prefer: return=representation` (RFC 7240).
 */
function answered(call: Call, notes: readonly Note[], redirect: string | undefined): Reply {
  const headers: Record<string, string> = notes.length === 0 ? {} : { warning: warningOf(notes) }
  if (redirect !== undefined) return new Reply(303, undefined, { ...headers, location: redirect })
  const { prefer } = call.headers
  if (typeof prefer !== 'string' || !prefer.includes('return=representation')) {
    return notes.length === 0 ? NO_CONTENT : new Reply(204, undefined, headers)
  }
  const shown = notes.map((note) => ({ ...note }))
  return new Reply(200, { not_honoured: shown }, { ...headers, 'preference-applied': 'return=representation' })
}

function warningOf(notes: readonly Note[]): string {
  const texts = notes.map(({ section, vhost, name, reason }) => {
    const where = vhost === undefined ? '' : ` in vhost '${vhost}'`
    return `${section}: '${name}'${where}: ${reason}`
  })
  // A header is ASCII, and a quoted text in it has no quotes.
  const text = texts.join('; ').replaceAll(/[^\x20-\x7e]|["\\]/g, '?')
  return `299 - "${text.length <= WARNING_LENGTH_MAX ? text : `${text.slice(0, WARNING_LENGTH_MAX)} ...`}"`
}
