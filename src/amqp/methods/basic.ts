// The basic class: consuming, getting, publishing and acknowledging.
import { BrokerError } from '../../core/errors.ts'
import { REPLY_TO } from '../../core/reply-to.ts'
import { generatedName } from '../../core/session.ts'
import type { Channel } from '../channel.ts'
import { ChannelConsumer } from '../consumer.ts'
import { AmqpError, fromBrokerError } from '../errors.ts'
import {
  Method,
  ReplyCode,
  writeBasicCancelOk,
  writeBasicConsumeOk,
  writeBasicGetEmpty,
  writeBasicQosOk,
  writeBasicRecoverOk,
  type ChannelMethods,
} from '../wire/generated.ts'
import { onceOpened, queueName } from './queue.ts'
import type { Entry } from '../../core/queue/entry.ts'
import type { Queue } from '../../core/queue/queue.ts'

type BasicMethods = Pick<
  ChannelMethods<Channel>,
  | 'basicQos'
  | 'basicConsume'
  | 'basicCancel'
  | 'basicCancelOk'
  | 'basicPublish'
  | 'basicGet'
  | 'basicAck'
  | 'basicReject'
  | 'basicNack'
  | 'basicRecover'
  | 'basicRecoverAsync'
>

export const basicMethods: BasicMethods = {
  basicPublish(channel, exchange, routingKey, mandatory, immediate) {
    if (immediate) throw new AmqpError('connection', ReplyCode.notImplemented, 'immediate=true', Method.basicPublish)
    channel.publishing.begin(exchange, routingKey, mandatory)
  },

  basicAck(channel, deliveryTag, multiple) {
    channel.settlements.acknowledge(deliveryTag, multiple)
  },

  basicNack(channel, deliveryTag, multiple, requeue) {
    channel.settlements.reject(deliveryTag, multiple, requeue, false)
  },

  basicReject(channel, deliveryTag, requeue) {
    channel.settlements.reject(deliveryTag, false, requeue, true)
  },

  basicQos(channel, prefetchSize, prefetchCount, global) {
    if (prefetchSize !== 0) {
      const sentence = `prefetch_size!=0 (${prefetchSize})`
      throw new AmqpError('connection', ReplyCode.notImplemented, sentence, Method.basicQos)
    }
    // RabbitMQ lifts the channel's limit whenever one for its coming consumers is set; it may be set again after that.
    const { globalPrefetch } = channel
    channel.globalPrefetch = global ? prefetchCount : 0
    if (!global) channel.consumerPrefetch = prefetchCount
    writeBasicQosOk(channel.connection.writer, channel.number)
    // Who waits for its own acknowledgements does not come earlier in its queue by this.
    if (channel.globalPrefetch !== globalPrefetch) channel.resumeConsumers()
  },

  basicConsume(channel, queue, givenTag, _noLocal, noAck, exclusive, nowait, args) {
    const { session, connection } = channel
    if (channel.consumers.has(givenTag)) {
      const sentence = `attempt to reuse consumer tag '${givenTag}'`
      throw new AmqpError('connection', ReplyCode.notAllowed, sentence, Method.basicConsume)
    }
    session.checkConsumer(channel.consumers.size)
    const source = queue === REPLY_TO ? replySource(channel, noAck) : session.readableQueue(queueName(channel, queue))
    const tag = givenTag === '' ? generatedName('amq.ctag') : givenTag
    const consumer = new ChannelConsumer(channel, source, tag, { noAck, exclusive, arguments: args })
    consumer.started(session.consume(source, consumer, exclusive, args))
    channel.consumers.set(tag, consumer)
    if (!nowait) writeBasicConsumeOk(connection.writer, channel.number, tag)
    source.serve()
  },

  basicCancel(channel, tag, nowait) {
    const consumer = channel.consumers.get(tag)
    channel.consumers.delete(tag)
    // What it has not acknowledged stays with the channel.
    consumer?.stop()
    if (!nowait) writeBasicCancelOk(channel.connection.writer, channel.number, tag)
  },

  basicCancelOk() {
    // Some clients answer the server's basic.cancel although it asked for no answer.
  },

  basicGet(channel, queue, noAck) {
    const name = queueName(channel, queue)
    // The answer says how many messages are left.
    onceOpened(channel, name, Method.basicGet, () => get(channel, channel.session.gettableQueue(name), noAck))
  },

  basicRecover(channel, requeue) {
    recover(channel, requeue, Method.basicRecover)
    writeBasicRecoverOk(channel.connection.writer, channel.number)
  },

  basicRecoverAsync(channel, requeue) {
    recover(channel, requeue, Method.basicRecoverAsync)
  },
}

/** Where the direct replies of a channel come from. RabbitMQ: one consumer of them a channel, and nothing to acknowledge. */
function replySource(channel: Channel, noAck: boolean): Queue {
  if (channel.replyQueue !== null) throw new BrokerError('precondition-failed', 'reply consumer already set')
  if (!noAck) throw new BrokerError('precondition-failed', 'reply consumer cannot acknowledge')
  return channel.startReplies()
}

function get(channel: Channel, queue: Queue, noAck: boolean): void {
  if (queue.paused) {
    answerGet(channel, queue, undefined, noAck)
    return
  }
  const entry = queue.get(noAck, channel.fits)
  // With priorities there may be something that stands above what the disk does not give.
  if (entry === undefined) channel.session.assertOpened(queue)
  if (entry !== undefined || queue.gettable) answerGet(channel, queue, entry, noAck)
  // The message is on disk: the connection waits with what follows, so that replies keep their order.
  else getLater(channel, queue, noAck, channel.connection.suspend())
}

function answerGet(channel: Channel, queue: Queue, entry: Entry | undefined, noAck: boolean): void {
  if (entry === undefined) {
    channel.counts.getEmpty++
    channel.gets.of(queue.name).empty++
    writeBasicGetEmpty(channel.connection.writer, channel.number)
  } else channel.deliverGot(entry, noAck, queue.readyCount)
}

/** Answers when the next message can be had, and then calls `resume`. */
function getLater(channel: Channel, queue: Queue, noAck: boolean, resume: () => void): void {
  queue.whenGettable((gettable) => {
    if (!channel.connection.running || channel.activity === 'closing') {
      resume()
    } else if (queue.deleted) {
      const error = new BrokerError('not-found', `no queue '${queue.name}' in vhost '${queue.vhost}'`)
      channel.connection.channelFailed(channel, fromBrokerError(error, Method.basicGet))
      resume()
    } else {
      const entry = queue.get(noAck, channel.fits)
      if (entry === undefined && gettable && !queue.gettable) {
        getLater(channel, queue, noAck, resume)
        return
      }
      answerGet(channel, queue, entry, noAck)
      resume()
    }
  })
}

function recover(channel: Channel, requeue: boolean, method: number): void {
  if (!requeue) throw new AmqpError('connection', ReplyCode.notImplemented, 'requeue=false', method)
  channel.settlements.recover()
}
