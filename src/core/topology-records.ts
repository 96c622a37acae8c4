// What a vhost's exchanges, queues and bindings are kept as, and what is told of them when they come and go.
import type { BindingDefinition, ExchangeDefinition, LevelDefinition, QueueDefinition } from './definitions.ts'
import type { EventFacts } from './events.ts'
import type { Binding } from './exchange/binding.ts'
import type { Exchange } from './exchange/exchange.ts'
import { RecentHistoryExchange } from './exchange/recent-history.ts'
import type { Queue } from './queue/queue.ts'

/** A durable exchange as the store keeps it, with the ids of its logs. */
export function exchangeDefinition(vhost: string, exchange: Exchange): ExchangeDefinition {
  const { name, type, autoDelete, internal, arguments: args } = exchange
  const ids = exchange.deduplication?.log ?? null
  const history = exchange instanceof RecentHistoryExchange ? exchange.log : null
  return {
    kind: 'exchange',
    vhost,
    name,
    type,
    autoDelete,
    internal,
    arguments: args,
    ...(exchange.user === null ? {} : { user: exchange.user }),
    ...(exchange.delaying === null ? {} : { delays: exchange.delaying.id }),
    ...(ids === null ? {} : { ids: ids.id }),
    ...(history === null ? {} : { history: history.id }),
  }
}

/** A durable queue as the store keeps it, with the ids of its logs. */
export function queueDefinition(queue: Queue): QueueDefinition {
  const { vhost, name, autoDelete, arguments: args } = queue
  const levels: LevelDefinition[] = []
  for (const [priority, log] of queue.levelLogs) {
    if (priority > 0 || log !== queue.log) levels.push({ priority, log: log.id })
  }
  return {
    kind: 'queue',
    vhost,
    name,
    autoDelete,
    arguments: args,
    log: queue.log!.id,
    ...(queue.paused ? { paused: true } : {}),
    ...(queue.user === null ? {} : { user: queue.user }),
    ...(levels.length === 0 ? {} : { levels }),
    ...(queue.ids === null ? {} : { ids: queue.ids.id }),
  }
}

/** A binding as the store keeps it, if both its ends survive a restart. */
export function bindingDefinition(vhost: string, binding: Binding): BindingDefinition {
  return {
    kind: 'binding',
    vhost,
    source: binding.source.name,
    destinationKind: binding.destinationKind,
    destination: binding.destination.name,
    routingKey: binding.routingKey,
    arguments: binding.arguments,
  }
}

/** RabbitMQ: a binding survives a restart if both its ends do. */
export function isDurable(binding: Binding): boolean {
  return binding.source.durable && binding.destination.durable
}

/** What an `exchange.created` event says (RabbitMQ's event exchange). */
export function exchangeFacts(exchange: Exchange): EventFacts {
  return {
    name: exchange.name,
    type: exchange.type,
    durable: exchange.durable,
    auto_delete: exchange.autoDelete,
    internal: exchange.internal,
    arguments: exchange.arguments,
  }
}

/** What a `queue.created` event says. */
export function queueFacts(queue: Queue): EventFacts {
  return {
    name: queue.name,
    durable: queue.durable,
    auto_delete: queue.autoDelete,
    exclusive: queue.owner !== null,
    type: queue.rules.type,
    arguments: queue.arguments,
  }
}

/** What `binding.created` and `binding.deleted` events say. */
export function bindingFacts(binding: Binding): EventFacts {
  return {
    source_name: binding.source.name,
    source_kind: 'exchange',
    destination_name: binding.destination.name,
    destination_kind: binding.destinationKind,
    routing_key: binding.routingKey,
    arguments: binding.arguments,
  }
}
