// NestJS microservices over RabbitMQ's transport: requests, events, acknowledgements and errors.
import { Controller, type DynamicModule } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import {
  ClientProxyFactory,
  Ctx,
  EventPattern,
  MessagePattern,
  Payload,
  type RmqContext,
  RpcException,
  Transport,
} from '@nestjs/microservices'
import type { ClientProxy } from '@nestjs/microservices'
import { firstValueFrom, toArray } from 'rxjs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { useBroker } from '../support/broker.ts'
import { Inbox } from '../support/inbox.ts'

const broker = useBroker()
const events = new Inbox<unknown>()

/** What a service does. Decorators are functions; they are called below, since nothing here is compiled. */
class Calculator {
  sum(numbers: readonly number[], context: RmqContext): number {
    acknowledge(context)
    return numbers.reduce((sum, number) => sum + number, 0)
  }

  broken(_payload: unknown, context: RmqContext): never {
    acknowledge(context)
    throw new RpcException('out of carrots')
  }

  /** Takes an event at the second attempt only. */
  happened(what: unknown, context: RmqContext): void {
    const message = context.getMessage() as { readonly fields: { readonly redelivered: boolean } }
    const channel = context.getChannelRef() as { nack(message: unknown): void }
    if (!message.fields.redelivered) {
      channel.nack(message)
      return
    }
    acknowledge(context)
    events.put(what)
  }
}

function acknowledge(context: RmqContext): void {
  const channel = context.getChannelRef() as { ack(message: unknown): void }
  channel.ack(context.getMessage())
}

function decorate(
  method: keyof Calculator,
  decorator: (target: object, name: string, descriptor: PropertyDescriptor) => unknown,
): void {
  const descriptor = Object.getOwnPropertyDescriptor(Calculator.prototype, method)!
  decorator(Calculator.prototype, method, descriptor)
  Payload()(Calculator.prototype, method, 0)
  Ctx()(Calculator.prototype, method, 1)
}

decorate('sum', MessagePattern('sum'))
decorate('broken', MessagePattern({ command: 'broken' }))
decorate('happened', EventPattern('happened'))
Controller()(Calculator)

/** A module without a class of its own. */
const module: DynamicModule = {
  module: class Service {
    readonly name = 'service'
  },
  controllers: [Calculator],
}

const rmq = () => ({
  transport: Transport.RMQ as const,
  options: { urls: [broker.url], queue: 'nest', queueOptions: { durable: true }, prefetchCount: 10 },
})

let client: ClientProxy
let close: () => Promise<void>

beforeAll(async () => {
  const { options } = rmq()
  const service = await NestFactory.createMicroservice(module, {
    ...rmq(),
    options: { ...options, noAck: false },
    logger: false,
  })
  await service.listen()
  client = ClientProxyFactory.create(rmq())
  await client.connect()
  close = async () => {
    await client.close()
    await service.close()
  }
})
afterAll(() => close())

it('answers requests through direct reply-to', async () => {
  const sums = [
    [1, 2],
    [3, 4, 5],
  ].map((numbers) => firstValueFrom(client.send<number>('sum', numbers)))
  expect(await Promise.all(sums)).toEqual([3, 12])
  expect(await firstValueFrom(client.send<number>('sum', [1]).pipe(toArray()))).toEqual([1])
})

it('carries errors back', async () => {
  await expect(firstValueFrom(client.send({ command: 'broken' }, {}))).rejects.toMatchObject({
    message: 'out of carrots',
  })
})

it('redelivers an event that was not acknowledged', async () => {
  await firstValueFrom(client.emit('happened', { hare: 'up' }), { defaultValue: undefined })
  expect(await events.next()).toEqual({ hare: 'up' })
})
