// The queue class: arguments, a call to the session, a reply.
import { BrokerError } from '../../core/errors.ts'
import type { Channel } from '../channel.ts'
import {
  Method,
  writeQueueBindOk,
  writeQueueDeclareOk,
  writeQueueDeleteOk,
  writeQueuePurgeOk,
  writeQueueUnbindOk,
  type ChannelMethods,
} from '../wire/generated.ts'

type QueueMethods = Pick<
  ChannelMethods<Channel>,
  'queueDeclare' | 'queueBind' | 'queueUnbind' | 'queuePurge' | 'queueDelete'
>

/**
 * The queue that a method names; an empty name is the channel's last declared one.
 * @throws BrokerError not-found when there is none
 */
export function queueName(channel: Channel, name: string): string {
  const meant = name === '' ? channel.lastQueue : name
  if (meant === '') throw new BrokerError('not-found', 'no previously declared queue')
  return meant
}

export const queueMethods: QueueMethods = {
  queueDeclare(channel, queue, passive, durable, exclusive, autoDelete, nowait, args) {
    const { session, connection } = channel
    onceOpened(channel, queue, Method.queueDeclare, () => {
      const unopened = session.unopenedQueue(queue)
      if (unopened !== null) session.assertOpened(unopened)
      // RabbitMQ: in a passive declare the empty name does not mean the queue declared last.
      const replies = session.replyQueueState(queue)
      const declared =
        replies ??
        (passive
          ? connection.durably(() => session.checkQueue(queue))
          : connection.durably(() =>
              session.declareQueue({ name: queue, durable, exclusive, autoDelete, arguments: args }),
            ))
      channel.lastQueue = declared.name
      if (nowait) return
      writeQueueDeclareOk(connection.writer, channel.number, declared.name, declared.readyCount, declared.consumerCount)
    })
  },

  queueBind(channel, queue, exchange, routingKey, nowait, args) {
    const destination = queueName(channel, queue)
    channel.connection.durably(() =>
      channel.session.bind({
        source: exchange,
        destinationKind: 'queue',
        destination,
        routingKey: boundKey(queue, routingKey, destination),
        arguments: args,
      }),
    )
    if (!nowait) writeQueueBindOk(channel.connection.writer, channel.number)
  },

  queueUnbind(channel, queue, exchange, routingKey, args) {
    const destination = queueName(channel, queue)
    channel.connection.durably(() =>
      channel.session.unbind({
        source: exchange,
        destinationKind: 'queue',
        destination,
        routingKey: boundKey(queue, routingKey, destination),
        arguments: args,
      }),
    )
    writeQueueUnbindOk(channel.connection.writer, channel.number)
  },

  queuePurge(channel, queue, nowait) {
    const name = queueName(channel, queue)
    onceOpened(channel, name, Method.queuePurge, () => {
      const count = channel.connection.durably(() => channel.session.purgeQueue(name))
      if (!nowait) writeQueuePurgeOk(channel.connection.writer, channel.number, count)
    })
  },

  queueDelete(channel, queue, ifUnused, ifEmpty, nowait) {
    const name = queueName(channel, queue)
    onceOpened(channel, name, Method.queueDelete, () => {
      const count = channel.connection.durably(() => channel.session.deleteQueue(name, ifUnused, ifEmpty))
      if (!nowait) writeQueueDeleteOk(channel.connection.writer, channel.number, count)
    })
  },
}

/**
 * Runs a command that tells how much a queue holds. Shortly after a start that may not be known: then the connection waits
 * with what follows, so that replies keep their order.
 */
export function onceOpened(channel: Channel, name: string, method: number, command: () => void): void {
  const queue = channel.session.unopenedQueue(name)
  if (queue === null) command()
  else channel.connection.later(channel, method, (callback) => queue.whenOpened(callback), command)
}

/** RabbitMQ: with neither queue nor key given, the queue's name is the key too. */
function boundKey(queue: string, routingKey: string, destination: string): string {
  return queue === '' && routingKey === '' ? destination : routingKey
}
