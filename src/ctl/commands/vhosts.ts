// Commands about virtual hosts, and about how much there may be in them and for a user.
import type { Row } from '../client.ts'
import { nodeOf } from './diagnostics.ts'
import { command, jsonObjectWord, list, MANY, silent, textOption, type Commands, type Context } from '../command.ts'

export const vhostCommands: Commands = {
  add_vhost: command(
    'NAME [--description TEXT] [--tags TAG,...] [--default-queue-type TYPE]',
    'Add a virtual host',
    [1, 1],
    ({ api, words: [name = ''], options }) => silent(api.call('PUT', ['vhosts', name], vhostMetadata(options))),
  ),
  update_vhost_metadata: command(
    'NAME [--description TEXT] [--tags TAG,...] [--default-queue-type TYPE]',
    'Describe a virtual host anew',
    [1, 1],
    async ({ api, words: [name = ''], options }) => {
      // Asked for first, so that it is not made here.
      await api.call('GET', ['vhosts', name])
      await api.call('PUT', ['vhosts', name], vhostMetadata(options))
    },
  ),
  set_vhost_tags: command(
    'NAME TAG...',
    'Tag a virtual host',
    [1, MANY],
    async ({ api, words: [name = '', ...tags] }) => {
      await api.call('GET', ['vhosts', name])
      await api.call('PUT', ['vhosts', name], { tags })
    },
  ),
  enable_vhost_deletion_protection: command('NAME', 'Keep a virtual host from being deleted', [1, 1], (context) =>
    silent(context.api.call('POST', ['vhosts', context.words[0] ?? '', 'deletion', 'protection'])),
  ),
  disable_vhost_deletion_protection: command('NAME', 'Let it be deleted again', [1, 1], (context) =>
    silent(context.api.call('DELETE', ['vhosts', context.words[0] ?? '', 'deletion', 'protection'])),
  ),
  delete_vhost: command('NAME', 'Delete a virtual host with all that is in it', [1, 1], ({ api, words: [name = ''] }) =>
    silent(api.call('DELETE', ['vhosts', name])),
  ),
  list_vhosts: list(['name'], ({ api }) => api.rows('vhosts'), 'List the virtual hosts'),
  restart_vhost: command('', 'Start a vhost; here all run as long as the broker does', 0, async ({ api, vhost }) => {
    await api.call('POST', ['vhosts', vhost, 'start', await nodeOf(api)])
    return `Virtual host ${vhost} runs`
  }),
  trace_on: command('', 'Trace the messages of a vhost to amq.rabbitmq.trace', 0, ({ api, vhost }) =>
    silent(api.call('PUT', ['vhosts', vhost], { tracing: true })),
  ),
  trace_off: command('', 'Stop tracing', 0, ({ api, vhost }) =>
    silent(api.call('PUT', ['vhosts', vhost], { tracing: false })),
  ),

  set_vhost_limits: command(
    'JSON',
    'Limit a vhost: {"max-connections": 64, "max-queues": 1000}',
    [1, 1],
    async ({ api, vhost, words: [limits = ''] }) => {
      for (const [name, value] of Object.entries(jsonObjectWord(limits))) {
        await api.call('PUT', ['vhost-limits', vhost, name], { value })
      }
    },
  ),
  clear_vhost_limits: command('', "Take a vhost's limits away", 0, async ({ api, vhost }) => {
    for (const name of limitNames(await api.rows('vhost-limits', vhost))) {
      await api.call('DELETE', ['vhost-limits', vhost, name])
    }
  }),
  list_vhost_limits: command('', 'List the limits of all vhosts', 0, async ({ api }) => ({
    columns: ['vhost', { name: 'limits', path: 'value' }],
    rows: await api.rows('vhost-limits'),
  })),
  set_user_limits: command(
    'USER JSON',
    'Limit a user: {"max-connections": 64, "max-channels": 1000}',
    [2, 2],
    async ({ api, words: [user = '', limits = ''] }) => {
      for (const [name, value] of Object.entries(jsonObjectWord(limits))) {
        await api.call('PUT', ['user-limits', user, name], { value })
      }
    },
  ),
  clear_user_limits: command('USER LIMIT|all', "Take a user's limits away", [2, 2], clearUserLimits),
  list_user_limits: command('', 'List the limits of all users', 0, async ({ api }) => ({
    columns: ['user', { name: 'limits', path: 'value' }],
    rows: await api.rows('user-limits'),
  })),
}

function vhostMetadata(options: Context['options']): Row {
  const [description, tags, type] = ['description', 'tags', 'default-queue-type'].map((name) =>
    textOption(options, name),
  )
  return {
    ...(description === undefined ? {} : { description }),
    ...(tags === undefined ? {} : { tags }),
    ...(type === undefined ? {} : { default_queue_type: type }),
  }
}

async function clearUserLimits({ api, words: [user = '', which = ''] }: Context): Promise<void> {
  const names = which === 'all' ? limitNames(await api.rows('user-limits', user)) : [which]
  for (const name of names) await api.call('DELETE', ['user-limits', user, name])
}

function limitNames(rows: readonly Row[]): readonly string[] {
  return rows.flatMap(({ value }) => Object.keys(value as Row))
}
