// The exchange types by name. A new type is one more file and one more line here.
import { BrokerError } from '../errors.ts'
import type { HeaderReader } from '../ports.ts'
import { ConsistentHashExchange } from './consistent-hash.ts'
import { DELAYED_TYPE, routingType } from './delayed.ts'
import { DEDUPLICATING_TYPE } from '../deduplication/rules.ts'
import { DirectExchange } from './direct.ts'
import type { Exchange, ExchangeProperties } from './exchange.ts'
import { FanoutExchange } from './fanout.ts'
import { HeadersExchange } from './headers.ts'
import { LocalRandomExchange } from './local-random.ts'
import { ModulusHashExchange } from './modulus-hash.ts'
import { RandomExchange } from './random.ts'
import { RecentHistoryExchange } from './recent-history.ts'
import { TopicExchange } from './topic.ts'

/** Makes an exchange of one type. `codec` reads the headers of messages, for those types that ask for them. */
type ExchangeFactory = (name: string, properties: ExchangeProperties, codec: HeaderReader) => Exchange

/** The known types. The names are those that clients declare with. */
export const exchangeTypes: ReadonlyMap<string, ExchangeFactory> = new Map<string, ExchangeFactory>([
  ['direct', (name, properties) => new DirectExchange(name, properties)],
  ['fanout', (name, properties) => new FanoutExchange(name, properties)],
  ['topic', (name, properties) => new TopicExchange(name, properties)],
  ['headers', (name, properties, codec) => new HeadersExchange(name, properties, codec)],
  ['x-consistent-hash', (name, properties, codec) => new ConsistentHashExchange(name, properties, codec)],
  ['x-modulus-hash', (name, properties) => new ModulusHashExchange(name, properties)],
  ['x-random', (name, properties) => new RandomExchange(name, properties)],
  ['x-local-random', (name, properties) => new LocalRandomExchange(name, properties)],
  [DEDUPLICATING_TYPE, (name, properties) => new FanoutExchange(name, properties)],
  ['x-recent-history', (name, properties, codec) => new RecentHistoryExchange(name, properties, codec)],
])

/** @throws BrokerError precondition-failed when there is no such type. */
export function assertExchangeType(type: string): void {
  if (type !== DELAYED_TYPE) factoryOf(type)
}

/**
 * Makes an exchange, without bindings.
 * @throws BrokerError precondition-failed when there is no such type.
 */
export function createExchange(name: string, properties: ExchangeProperties, codec: HeaderReader): Exchange {
  return factoryOf(routingType(properties))(name, properties, codec)
}

function factoryOf(type: string): ExchangeFactory {
  const factory = exchangeTypes.get(type)
  if (factory !== undefined) return factory
  // RabbitMQ looks among the names that Erlang knows, of which the empty one is always one.
  const what = type === '' ? 'invalid' : 'unknown'
  throw new BrokerError('precondition-failed', `${what} exchange type '${type}'`)
}
