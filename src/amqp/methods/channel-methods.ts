// The methods of a channel, by class: arguments, a call to the session, a reply.
import type { Channel } from '../channel.ts'
import type { ChannelMethods } from '../wire/generated.ts'
import { basicMethods } from './basic.ts'
import { channelClassMethods } from './channel.ts'
import { confirmMethods } from './confirm.ts'
import { exchangeMethods } from './exchange.ts'
import { queueMethods } from './queue.ts'

/** What generated dispatch calls. Errors are thrown: BrokerError, AmqpError or WireError. */
export const channelMethods: ChannelMethods<Channel> = {
  ...channelClassMethods,
  ...exchangeMethods,
  ...queueMethods,
  ...basicMethods,
  ...confirmMethods,
}
