// The default exchange: every queue by its name.
import { BrokerError } from '../errors.ts'
import type { Message } from '../message.ts'
import type { Queue } from '../queue/queue.ts'
import { NO_ARGUMENTS } from '../value.ts'
import { Exchange } from './exchange.ts'
import type { Routes } from './routes.ts'

/** Routes to the queue whose name is the routing key (AMQP 0-9-1 §2.1.2.4). Nothing is ever bound to it. */
export class DefaultExchange extends Exchange {
  readonly #queue: (name: string) => Queue | undefined

  constructor(queue: (name: string) => Queue | undefined) {
    super('', { type: 'direct', durable: true, autoDelete: false, internal: false, arguments: NO_ARGUMENTS })
    this.#queue = queue
  }

  override match(_message: Message, routingKey: string, routes: Routes): void {
    const queue = this.#queue(routingKey)
    if (queue !== undefined) routes.add(queue)
  }

  protected override attach(): void {
    throw notPermitted()
  }

  protected override detach(): void {
    throw notPermitted()
  }
}

function notPermitted(): BrokerError {
  return new BrokerError('access-refused', 'operation not permitted on the default exchange')
}
