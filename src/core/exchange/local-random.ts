// The local random exchange: the random one, as RabbitMQ has it for queues on the node that a client is connected to.
import { queueTypeOf } from '../arguments.ts'
import { BrokerError } from '../errors.ts'
import type { Binding } from './binding.ts'
import { RandomExchange } from './random.ts'

/** Routes as the random exchange does: every queue is local here. Routing keys mean nothing. */
export class LocalRandomExchange extends RandomExchange {
  /** @throws BrokerError precondition-failed: a key, or a destination that is no classic queue */
  protected override attach(binding: Binding): void {
    if (binding.routingKey !== '') {
      throw new BrokerError('precondition-failed', `Non empty binding '${binding.routingKey}' key not permitted`)
    }
    if (binding.queue === null) throw new BrokerError('precondition-failed', 'Destination not found')
    const type = queueTypeOf(binding.queue.arguments)
    if (type !== 'classic') {
      const sentence = `Queue type rabbit_${type}_queue not valid for this exchange type`
      throw new BrokerError('precondition-failed', sentence)
    }
    super.attach(binding)
  }
}
