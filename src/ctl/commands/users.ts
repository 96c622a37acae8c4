// Commands about users, and what they may do.
import { createHash, randomBytes } from 'node:crypto'
import { ApiClient, CtlError, CtlExit, type Row } from '../client.ts'
import { command, MANY, silent, type Commands, type Context } from '../command.ts'

const SALT_BYTES = 4

export const userCommands: Commands = {
  add_user: command('NAME PASSWORD', 'Add a user without tags', [2, 2], ({ api, words: [name = '', password] }) =>
    silent(api.call('PUT', ['users', name], { password, tags: [] })),
  ),
  delete_user: command('NAME', 'Delete a user', [1, 1], ({ api, words: [name = ''] }) =>
    silent(api.call('DELETE', ['users', name])),
  ),
  change_password: command('NAME PASSWORD', "Change a user's password", [2, 2], async ({ api, words }) => {
    const [name = '', password] = words
    const { tags } = (await api.call('GET', ['users', name])) as Row
    await api.call('PUT', ['users', name], { password, tags })
  }),
  clear_password: command('NAME', 'Let a user no longer log in by password', [1, 1], async ({ api, words }) => {
    const [name = ''] = words
    const { tags } = (await api.call('GET', ['users', name])) as Row
    await api.call('PUT', ['users', name], { password_hash: '', tags })
  }),
  authenticate_user: command('NAME PASSWORD', 'Whether a password is right', [2, 2], authenticate),
  hash_password: command('PASSWORD', "Print a password's hash, for definitions", [1, 1], async ({ words }) => {
    const [password = ''] = words
    const salt = randomBytes(SALT_BYTES)
    // RabbitMQ: base64 of the salt and SHA-256 of salt and password.
    const digest = createHash('sha256').update(salt).update(password).digest()
    return Buffer.concat([salt, digest]).toString('base64')
  }),
  set_user_tags: command('NAME [TAG...]', "Replace a user's tags", [1, MANY], async ({ api, words }) => {
    const [name = '', ...tags] = words
    const { password_hash, hashing_algorithm } = (await api.call('GET', ['users', name])) as Row
    await api.call('PUT', ['users', name], { password_hash, hashing_algorithm, tags })
  }),
  list_users: command('', 'List the users', 0, async ({ api }) => ({
    columns: [{ name: 'user', path: 'name' }, 'tags'],
    rows: await api.rows('users'),
  })),

  set_permissions: command(
    'USER CONFIGURE WRITE READ',
    'Give a user rights in a vhost, as patterns over names',
    [4, 4],
    ({ api, vhost, words: [user = '', configure, write, read] }) =>
      silent(api.call('PUT', ['permissions', vhost, user], { configure, write, read })),
  ),
  set_permissions_globally: command(
    'USER CONFIGURE WRITE READ',
    'Give a user rights in all vhosts',
    [4, 4],
    async ({ api, words: [user = '', configure, write, read] }) => {
      for (const { name } of await api.rows('vhosts')) {
        await api.call('PUT', ['permissions', String(name), user], { configure, write, read })
      }
    },
  ),
  clear_permissions: command(
    'USER',
    "Take a user's rights in a vhost away",
    [1, 1],
    ({ api, vhost, words: [user = ''] }) => silent(api.call('DELETE', ['permissions', vhost, user])),
  ),
  list_permissions: command('', 'List the rights in a vhost', 0, async ({ api, vhost }) => ({
    columns: ['user', 'configure', 'write', 'read'],
    rows: await api.rows('vhosts', vhost, 'permissions'),
  })),
  list_user_permissions: command('USER', "List a user's rights", [1, 1], async ({ api, words: [user = ''] }) => ({
    columns: ['vhost', 'configure', 'write', 'read'],
    rows: await api.rows('users', user, 'permissions'),
  })),

  set_topic_permissions: command(
    'USER EXCHANGE WRITE READ',
    'Give a user rights over routing keys of a topic exchange',
    [4, 4],
    ({ api, vhost, words: [user = '', exchange, write, read] }) =>
      silent(api.call('PUT', ['topic-permissions', vhost, user], { exchange, write, read })),
  ),
  clear_topic_permissions: command(
    'USER [EXCHANGE]',
    "Take a user's rights over routing keys away, of one exchange or of all",
    [1, 2],
    clearTopicPermissions,
  ),
  list_topic_permissions: command('', 'List the rights over routing keys in a vhost', 0, async ({ api, vhost }) => ({
    columns: ['user', 'exchange', 'write', 'read'],
    rows: await api.rows('vhosts', vhost, 'topic-permissions'),
  })),
  list_user_topic_permissions: command(
    'USER',
    "List a user's rights over routing keys",
    [1, 1],
    async ({ api, words: [user = ''] }) => ({
      columns: ['vhost', 'exchange', 'write', 'read'],
      rows: await api.rows('users', user, 'topic-permissions'),
    }),
  ),
}

async function authenticate({ target, words: [user = '', password = ''] }: Context): Promise<string> {
  try {
    await new ApiClient({ ...target, user, password }).call('GET', ['whoami'])
  } catch (error) {
    if (!(error instanceof CtlError) || error.status !== 401) throw error
    // Users without a tag may not ask the API, and are told so once they were recognised.
    if (error.message !== 'Not management user') throw new CtlError(CtlExit.data, `${user} cannot log in so`)
  }
  return 'Success'
}

function clearTopicPermissions({ api, vhost, words: [user = '', exchange] }: Context): Promise<void> {
  const path = ['topic-permissions', vhost, user]
  return silent(api.call('DELETE', exchange === undefined ? path : [...path, exchange]))
}
