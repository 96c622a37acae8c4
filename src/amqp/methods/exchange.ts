// The exchange class: arguments, a call to the session, a reply.
import type { Channel } from '../channel.ts'
import {
  writeExchangeBindOk,
  writeExchangeDeclareOk,
  writeExchangeDeleteOk,
  writeExchangeUnbindOk,
  type ChannelMethods,
} from '../wire/generated.ts'

type ExchangeMethods = Pick<
  ChannelMethods<Channel>,
  'exchangeDeclare' | 'exchangeDelete' | 'exchangeBind' | 'exchangeUnbind'
>

export const exchangeMethods: ExchangeMethods = {
  exchangeDeclare(channel, exchange, type, passive, durable, autoDelete, internal, nowait, args) {
    const { session, connection } = channel
    if (passive) session.checkExchange(exchange)
    else {
      const declaration = { name: exchange, type, durable, autoDelete, internal, arguments: args }
      connection.durably(() => session.declareExchange(declaration))
    }
    if (!nowait) writeExchangeDeclareOk(connection.writer, channel.number)
  },

  exchangeDelete(channel, exchange, ifUnused, nowait) {
    channel.connection.durably(() => channel.session.deleteExchange(exchange, ifUnused))
    if (!nowait) writeExchangeDeleteOk(channel.connection.writer, channel.number)
  },

  exchangeBind(channel, destination, source, routingKey, nowait, args) {
    const terms = { source, destinationKind: 'exchange', destination, routingKey, arguments: args } as const
    channel.connection.durably(() => channel.session.bind(terms))
    if (!nowait) writeExchangeBindOk(channel.connection.writer, channel.number)
  },

  exchangeUnbind(channel, destination, source, routingKey, nowait, args) {
    const terms = { source, destinationKind: 'exchange', destination, routingKey, arguments: args } as const
    channel.connection.durably(() => channel.session.unbind(terms))
    if (!nowait) writeExchangeUnbindOk(channel.connection.writer, channel.number)
  },
}
