// The first request finds nothing there yet: what serves it is loaded while messages flow.
import { expect, it } from 'vitest'
import { Slices } from '../../src/lib/slices.ts'
import { loadFastify } from '../../src/management/load-fastify.ts'
import { loadRoutes } from '../../src/management/routes/routes.ts'

/** Slices of the real event loop, and how many passes they were asked for. */
function counted() {
  let passes = 0
  const next = (callback: () => void): void => {
    passes++
    setImmediate(callback)
  }
  return { slices: new Slices({ now: () => performance.now(), next }), passes: () => passes }
}

it('loads fastify a part at a time', async () => {
  const { slices, passes } = counted()
  const fastify = await loadFastify(slices)
  expect(passes()).toBeGreaterThan(15)
  const app = fastify()
  app.get('/', () => 'carrots')
  expect((await app.inject('/')).body).toBe('carrots')
})

it('loads fastify also where it has other parts', async () => {
  const { slices } = counted()
  const fastify = await loadFastify(slices, [
    ['fastify', './lib/of-another-version.js'],
    ['find-my-way', 'of-another-version'],
  ])
  expect(fastify().hasRoute({ method: 'GET', url: '/' })).toBe(false)
})

it('loads the routes a file at a time', async () => {
  const { slices, passes } = counted()
  const routes = await loadRoutes(slices)
  expect(routes.map(({ path }) => path)).toEqual(expect.arrayContaining(['/api/overview', '/api/queues']))
  expect(passes()).toBeGreaterThan(15)
})
