// Commands about policies and parameters.
import { Pattern } from '../../lib/pattern.ts'
import { CtlError, CtlExit, type ApiClient, type Row } from '../client.ts'
import {
  command,
  jsonObjectWord,
  jsonWord,
  numberOption,
  silent,
  textOption,
  type Command,
  type Commands,
  type Context,
  type Outcome,
} from '../command.ts'

const POLICY_COLUMNS = ['vhost', 'name', 'pattern', 'apply-to', 'definition', 'priority']

export const policyCommands: Commands = {
  set_policy: setPolicy('policies', 'Set a policy'),
  clear_policy: clearPolicy('policies', 'Delete a policy'),
  list_policies: listPolicies('policies', 'List the policies of a vhost'),
  set_operator_policy: setPolicy('operator-policies', 'Set a policy that bounds what users may set'),
  clear_operator_policy: clearPolicy('operator-policies', 'Delete an operator policy'),
  list_operator_policies: listPolicies('operator-policies', 'List the operator policies of a vhost'),

  list_policies_that_match: command(
    'NAME [--object-type queue|exchange]',
    'List the policies whose pattern matches a queue or an exchange; the first holds',
    [1, 1],
    policiesThatMatch,
  ),

  set_parameter: command('COMPONENT NAME JSON', 'Set a parameter of a vhost', [3, 3], ({ api, vhost, words }) => {
    const [component = '', name = '', value = ''] = words
    return silent(api.call('PUT', ['parameters', component, vhost, name], { component, vhost, name, ...valued(value) }))
  }),
  clear_parameter: command('COMPONENT NAME', 'Delete a parameter', [2, 2], ({ api, vhost, words }) => {
    const [component = '', name = ''] = words
    return silent(api.call('DELETE', ['parameters', component, vhost, name]))
  }),
  list_parameters: command('', 'List the parameters of a vhost', 0, async ({ api, vhost }) => ({
    columns: ['component', 'name', 'value'],
    rows: (await api.rows('parameters')).filter((row) => row['vhost'] === vhost),
  })),
  set_global_parameter: command('NAME JSON', 'Set a parameter of all vhosts', [2, 2], ({ api, words }) => {
    const [name = '', value = ''] = words
    return silent(api.call('PUT', ['global-parameters', name], { name, ...valued(value) }))
  }),
  clear_global_parameter: command('NAME', 'Delete a parameter of all vhosts', [1, 1], ({ api, words: [name = ''] }) =>
    silent(api.call('DELETE', ['global-parameters', name])),
  ),
  list_global_parameters: command('', 'List the parameters of all vhosts', 0, async ({ api }) => ({
    columns: ['name', 'value'],
    rows: await api.rows('global-parameters'),
  })),
}

function valued(text: string): Row {
  return { value: jsonWord(text) }
}

function setPolicy(kind: string, purpose: string): Command {
  const usage = 'NAME PATTERN JSON [--apply-to queues|exchanges|all|...] [--priority N]'
  return command(usage, purpose, [3, 3], ({ api, vhost, words, options }) => {
    const [name = '', pattern, definition = ''] = words
    const body = {
      pattern,
      definition: jsonObjectWord(definition),
      priority: numberOption(options, 'priority', 0),
      'apply-to': textOption(options, 'apply-to') ?? 'all',
    }
    return silent(api.call('PUT', [kind, vhost, name], body))
  })
}

function clearPolicy(kind: string, purpose: string): Command {
  return command('NAME', purpose, [1, 1], ({ api, vhost, words: [name = ''] }) =>
    silent(api.call('DELETE', [kind, vhost, name])),
  )
}

function listPolicies(kind: string, purpose: string): Command {
  const rows = (api: ApiClient, vhost: string): Promise<readonly Row[]> => api.rows(kind, vhost)
  return command('', purpose, 0, async ({ api, vhost }: Context) => ({
    columns: POLICY_COLUMNS,
    rows: await rows(api, vhost),
  }))
}

/** What policies apply to, by the kind of object and the type of a queue. */
async function policiesThatMatch({ api, vhost, words: [name = ''], options }: Context): Promise<Outcome> {
  const type = textOption(options, 'object-type') ?? 'queue'
  if (type !== 'queue' && type !== 'exchange') {
    throw new CtlError(CtlExit.usage, `--object-type is queue or exchange, not ${type}`)
  }
  const object = (await api.call('GET', [`${type}s`, vhost, name])) as Row
  const applies = new Set(['all', `${type}s`, ...(type === 'queue' ? [`${String(object['type'])}_queues`] : [])])
  const policies = (await api.rows('policies', vhost)).filter((policy) => {
    return applies.has(String(policy['apply-to'])) && new Pattern(String(policy['pattern'])).test(name)
  })
  const rows = policies.toSorted((one, other) => Number(other['priority']) - Number(one['priority']))
  return { columns: POLICY_COLUMNS, rows }
}
