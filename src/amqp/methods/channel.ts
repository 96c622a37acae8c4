// The channel class, and access, which is left over from AMQP 0-8.
import type { Channel } from '../channel.ts'
import { AmqpError } from '../errors.ts'
import {
  Method,
  ReplyCode,
  writeAccessRequestOk,
  writeChannelCloseOk,
  writeChannelFlowOk,
  type ChannelMethods,
} from '../wire/generated.ts'

type ChannelClassMethods = Pick<
  ChannelMethods<Channel>,
  'channelOpen' | 'channelFlow' | 'channelFlowOk' | 'channelClose' | 'channelCloseOk' | 'accessRequest'
>

export const channelClassMethods: ChannelClassMethods = {
  channelOpen() {
    throw new AmqpError('connection', ReplyCode.channelError, "second 'channel.open' seen", Method.channelOpen)
  },

  channelFlow(channel, active) {
    // RabbitMQ stops no deliveries for a client; prefetch is there for that.
    if (!active) throw new AmqpError('connection', ReplyCode.notImplemented, 'active=false', Method.channelFlow)
    writeChannelFlowOk(channel.connection.writer, channel.number, true)
  },

  channelFlowOk() {
    // The server never asks, so there is nothing that this could answer.
    throw new AmqpError('connection', ReplyCode.commandInvalid, 'unimplemented method', Method.channelFlowOk)
  },

  channelClose(channel) {
    channel.close()
    channel.connection.channelClosed(channel)
    writeChannelCloseOk(channel.connection.writer, channel.number)
  },

  channelCloseOk() {
    // The answer to a close that was never sent: harmless.
  },

  accessRequest(channel) {
    // Tickets mean nothing since AMQP 0-9-1; RabbitMQ always grants number 1.
    writeAccessRequestOk(channel.connection.writer, channel.number, 1)
  },
}
