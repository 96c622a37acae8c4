// celery-node, a job framework on its own: a client and a worker over amqplib, and results over AMQP.
import { createClient, createWorker } from 'celery-node'
import { expect, it, onTestFinished } from 'vitest'
import { useBroker } from '../support/broker.ts'

const broker = useBroker()

it('runs jobs and brings their results back', async () => {
  const worker = createWorker(broker.url, broker.url)
  worker.register('sum', (a: number, b: number) => a + b)
  const running = worker.start()
  const client = createClient(broker.url, broker.url)
  onTestFinished(async () => {
    await worker.whenCurrentJobsFinished()
    await Promise.all([worker.disconnect(), client.disconnect()])
    await running
  })

  const sum = client.createTask('sum')
  const results = [1, 2, 3].map((number) => sum.applyAsync([number, 10]).get())
  expect(await Promise.all(results)).toEqual([11, 12, 13])
})
