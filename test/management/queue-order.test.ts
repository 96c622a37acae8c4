// The order of queues: found when it is asked for again, and kept until a queue comes or goes.
import { expect, it } from 'vitest'
import { items, useApi, word } from '../support/api.ts'

const api = useApi()

async function names(query = ''): Promise<readonly string[]> {
  return items((await api.get(`/api/queues${query}`)).body).map(
    (queue) => `${word(queue['vhost'])} ${word(queue['name'])}`,
  )
}

it('is that of vhosts and names, also after queues have come and gone', async () => {
  await api.put('/api/vhosts/a')
  for (const path of ['%2F/two', '%2F/one', 'a/three']) await api.put(`/api/queues/${path}`)
  // The first time it is found for that answer, the second time it is kept, the third it is there.
  for (let i = 0; i < 3; i++) expect(await names()).toEqual(['/ one', '/ two', 'a three'])
  await api.put('/api/queues/%2F/four')
  for (let i = 0; i < 3; i++) expect(await names()).toEqual(['/ four', '/ one', '/ two', 'a three'])
  expect(await names('?sort_reverse=true')).toEqual(['a three', '/ two', '/ one', '/ four'])
  expect(await names('?sort=name')).toEqual(['/ four', '/ one', 'a three', '/ two'])
  await api.delete('/api/queues/%2F/one')
  await api.put('/api/queues/%2F/zero')
  for (let i = 0; i < 3; i++) expect(await names('/%2F')).toEqual(['/ four', '/ two', '/ zero'])
  await api.delete('/api/vhosts/a')
  for (let i = 0; i < 3; i++) expect(await names()).toEqual(['/ four', '/ two', '/ zero'])
})
