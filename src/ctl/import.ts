// `leveret import`: brings the definitions of a running broker over, by way of both HTTP APIs.
import { ApiClient, type Row, type Target } from './client.ts'

/** What is brought over, and what of it the broker does not honour. */
export interface Imported {
  readonly counts: Readonly<Record<string, number>>
  readonly ignored: readonly string[]
}

/** The parts of definitions, in the order in which they are told. */
const SECTIONS = [
  'users',
  'vhosts',
  'permissions',
  'topic_permissions',
  'parameters',
  'global_parameters',
  'policies',
  'exchanges',
  'queues',
  'bindings',
]

/**
 * Copies definitions from one broker to another: all, or those of one vhost, which must be there already.
 * What exists stays as the rules of an import say; nothing is deleted.
 * @throws CtlError
 */
export async function importFrom(from: Target, to: Target, vhost: string | null): Promise<Imported> {
  const path = vhost === null ? ['definitions'] : ['definitions', vhost]
  const definitions = (await new ApiClient(from).call('GET', path)) as Row
  const answer = await new ApiClient(to).call('POST', path, definitions, { prefer: 'return=representation' })
  const counts = SECTIONS.map((section): [string, unknown] => [section, definitions[section]])
    .filter((entry): entry is [string, unknown[]] => Array.isArray(entry[1]) && entry[1].length > 0)
    .map(([section, items]): [string, number] => [section, items.length])
  return { counts: Object.fromEntries(counts), ignored: ignoredIn(answer) }
}

/** What our own API names when it is asked to answer with it. */
function ignoredIn(answer: unknown): readonly string[] {
  const notes = typeof answer === 'object' && answer !== null ? (answer as Row)['not_honoured'] : undefined
  if (!Array.isArray(notes)) return []
  return (notes as readonly Row[]).map(({ section, vhost, name, reason }) => {
    const where = typeof vhost === 'string' ? ` in ${vhost}` : ''
    return `${String(section)} ${String(name)}${where}: ${String(reason)}`
  })
}
