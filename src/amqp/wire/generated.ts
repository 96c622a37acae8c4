// The methods of AMQP 0-9-1, their decoding and encoding. Made by spec/generate.ts of spec/amqp.ts: do not edit this
// file, but run `npm run generate`.
import { encodeTable, readTable, type FieldTable } from './field-table.ts'
import { beginMethod, endFrame, writeUint16, writeUint32, writeUint64, type FrameOutput } from './frame-writer.ts'
import {
  cannotDecode,
  longStringEnd,
  readBytes,
  readName,
  readShortString,
  readUint16,
  readUint32,
  readUint64,
  shortStringEnd,
  writeBytes,
  writeEncoded,
  writeLongString,
  writeShortString,
} from './method-arguments.ts'
import { textBytes } from './text.ts'

/** Methods by name: the class id in the upper 16 bits, the method id in the lower. */
export const Method = {
  connectionStart: 0x000a000a,
  connectionStartOk: 0x000a000b,
  connectionSecure: 0x000a0014,
  connectionSecureOk: 0x000a0015,
  connectionTune: 0x000a001e,
  connectionTuneOk: 0x000a001f,
  connectionOpen: 0x000a0028,
  connectionOpenOk: 0x000a0029,
  connectionClose: 0x000a0032,
  connectionCloseOk: 0x000a0033,
  connectionBlocked: 0x000a003c,
  connectionUnblocked: 0x000a003d,
  connectionUpdateSecret: 0x000a0046,
  connectionUpdateSecretOk: 0x000a0047,
  channelOpen: 0x0014000a,
  channelOpenOk: 0x0014000b,
  channelFlow: 0x00140014,
  channelFlowOk: 0x00140015,
  channelClose: 0x00140028,
  channelCloseOk: 0x00140029,
  accessRequest: 0x001e000a,
  accessRequestOk: 0x001e000b,
  exchangeDeclare: 0x0028000a,
  exchangeDeclareOk: 0x0028000b,
  exchangeDelete: 0x00280014,
  exchangeDeleteOk: 0x00280015,
  exchangeBind: 0x0028001e,
  exchangeBindOk: 0x0028001f,
  exchangeUnbind: 0x00280028,
  exchangeUnbindOk: 0x00280033,
  queueDeclare: 0x0032000a,
  queueDeclareOk: 0x0032000b,
  queueBind: 0x00320014,
  queueBindOk: 0x00320015,
  queuePurge: 0x0032001e,
  queuePurgeOk: 0x0032001f,
  queueDelete: 0x00320028,
  queueDeleteOk: 0x00320029,
  queueUnbind: 0x00320032,
  queueUnbindOk: 0x00320033,
  basicQos: 0x003c000a,
  basicQosOk: 0x003c000b,
  basicConsume: 0x003c0014,
  basicConsumeOk: 0x003c0015,
  basicCancel: 0x003c001e,
  basicCancelOk: 0x003c001f,
  basicPublish: 0x003c0028,
  basicReturn: 0x003c0032,
  basicDeliver: 0x003c003c,
  basicGet: 0x003c0046,
  basicGetOk: 0x003c0047,
  basicGetEmpty: 0x003c0048,
  basicAck: 0x003c0050,
  basicReject: 0x003c005a,
  basicRecoverAsync: 0x003c0064,
  basicRecover: 0x003c006e,
  basicRecoverOk: 0x003c006f,
  basicNack: 0x003c0078,
  basicCredit: 0x003c00c8,
  basicCreditOk: 0x003c00c9,
  basicCreditDrained: 0x003c00ca,
  confirmSelect: 0x0055000a,
  confirmSelectOk: 0x0055000b,
  txSelect: 0x005a000a,
  txSelectOk: 0x005a000b,
  txCommit: 0x005a0014,
  txCommitOk: 0x005a0015,
  txRollback: 0x005a001e,
  txRollbackOk: 0x005a001f,
} as const

const METHOD_NAMES: ReadonlyMap<number, string> = new Map([
  [0x000a000a, 'connection.start'],
  [0x000a000b, 'connection.start-ok'],
  [0x000a0014, 'connection.secure'],
  [0x000a0015, 'connection.secure-ok'],
  [0x000a001e, 'connection.tune'],
  [0x000a001f, 'connection.tune-ok'],
  [0x000a0028, 'connection.open'],
  [0x000a0029, 'connection.open-ok'],
  [0x000a0032, 'connection.close'],
  [0x000a0033, 'connection.close-ok'],
  [0x000a003c, 'connection.blocked'],
  [0x000a003d, 'connection.unblocked'],
  [0x000a0046, 'connection.update-secret'],
  [0x000a0047, 'connection.update-secret-ok'],
  [0x0014000a, 'channel.open'],
  [0x0014000b, 'channel.open-ok'],
  [0x00140014, 'channel.flow'],
  [0x00140015, 'channel.flow-ok'],
  [0x00140028, 'channel.close'],
  [0x00140029, 'channel.close-ok'],
  [0x001e000a, 'access.request'],
  [0x001e000b, 'access.request-ok'],
  [0x0028000a, 'exchange.declare'],
  [0x0028000b, 'exchange.declare-ok'],
  [0x00280014, 'exchange.delete'],
  [0x00280015, 'exchange.delete-ok'],
  [0x0028001e, 'exchange.bind'],
  [0x0028001f, 'exchange.bind-ok'],
  [0x00280028, 'exchange.unbind'],
  [0x00280033, 'exchange.unbind-ok'],
  [0x0032000a, 'queue.declare'],
  [0x0032000b, 'queue.declare-ok'],
  [0x00320014, 'queue.bind'],
  [0x00320015, 'queue.bind-ok'],
  [0x0032001e, 'queue.purge'],
  [0x0032001f, 'queue.purge-ok'],
  [0x00320028, 'queue.delete'],
  [0x00320029, 'queue.delete-ok'],
  [0x00320032, 'queue.unbind'],
  [0x00320033, 'queue.unbind-ok'],
  [0x003c000a, 'basic.qos'],
  [0x003c000b, 'basic.qos-ok'],
  [0x003c0014, 'basic.consume'],
  [0x003c0015, 'basic.consume-ok'],
  [0x003c001e, 'basic.cancel'],
  [0x003c001f, 'basic.cancel-ok'],
  [0x003c0028, 'basic.publish'],
  [0x003c0032, 'basic.return'],
  [0x003c003c, 'basic.deliver'],
  [0x003c0046, 'basic.get'],
  [0x003c0047, 'basic.get-ok'],
  [0x003c0048, 'basic.get-empty'],
  [0x003c0050, 'basic.ack'],
  [0x003c005a, 'basic.reject'],
  [0x003c0064, 'basic.recover-async'],
  [0x003c006e, 'basic.recover'],
  [0x003c006f, 'basic.recover-ok'],
  [0x003c0078, 'basic.nack'],
  [0x003c00c8, 'basic.credit'],
  [0x003c00c9, 'basic.credit-ok'],
  [0x003c00ca, 'basic.credit-drained'],
  [0x0055000a, 'confirm.select'],
  [0x0055000b, 'confirm.select-ok'],
  [0x005a000a, 'tx.select'],
  [0x005a000b, 'tx.select-ok'],
  [0x005a0014, 'tx.commit'],
  [0x005a0015, 'tx.commit-ok'],
  [0x005a001e, 'tx.rollback'],
  [0x005a001f, 'tx.rollback-ok'],
])

/** The name of a method, such as `basic.publish`; its two numbers when it has none. */
export function methodName(id: number): string {
  return METHOD_NAMES.get(id) ?? `${id >>> 16}.${id & 0xffff}`
}

export const ReplyCode = {
  replySuccess: 200,
  contentTooLarge: 311,
  noRoute: 312,
  noConsumers: 313,
  connectionForced: 320,
  invalidPath: 402,
  accessRefused: 403,
  notFound: 404,
  resourceLocked: 405,
  preconditionFailed: 406,
  frameError: 501,
  syntaxError: 502,
  commandInvalid: 503,
  channelError: 504,
  unexpectedFrame: 505,
  resourceError: 506,
  notAllowed: 530,
  notImplemented: 540,
  internalError: 541,
} as const

const REPLY_NAMES: ReadonlyMap<number, string> = new Map([
  [200, 'REPLY_SUCCESS'],
  [311, 'CONTENT_TOO_LARGE'],
  [312, 'NO_ROUTE'],
  [313, 'NO_CONSUMERS'],
  [320, 'CONNECTION_FORCED'],
  [402, 'INVALID_PATH'],
  [403, 'ACCESS_REFUSED'],
  [404, 'NOT_FOUND'],
  [405, 'RESOURCE_LOCKED'],
  [406, 'PRECONDITION_FAILED'],
  [501, 'FRAME_ERROR'],
  [502, 'SYNTAX_ERROR'],
  [503, 'COMMAND_INVALID'],
  [504, 'CHANNEL_ERROR'],
  [505, 'UNEXPECTED_FRAME'],
  [506, 'RESOURCE_ERROR'],
  [530, 'NOT_ALLOWED'],
  [540, 'NOT_IMPLEMENTED'],
  [541, 'INTERNAL_ERROR'],
])

/** The name of a reply code as it begins a reply text, such as `NOT_FOUND`; the number itself when it has none. */
export function replyName(code: number): string {
  return REPLY_NAMES.get(code) ?? String(code)
}

/** Whether an error with this code ends the connection, and not only the channel. */
export function isHardError(code: number): boolean {
  switch (code) {
    case 320:
    case 402:
    case 501:
    case 502:
    case 503:
    case 504:
    case 505:
    case 506:
    case 530:
    case 540:
    case 541:
      return true
    default:
      return false
  }
}

/** The bits of a content header's property flags, in the order of the values behind them. */
export const PropertyFlag = {
  contentType: 0x8000,
  contentEncoding: 0x4000,
  headers: 0x2000,
  deliveryMode: 0x1000,
  priority: 0x0800,
  correlationId: 0x0400,
  replyTo: 0x0200,
  expiration: 0x0100,
  messageId: 0x0080,
  timestamp: 0x0040,
  type: 0x0020,
  userId: 0x0010,
  appId: 0x0008,
  clusterId: 0x0004,
} as const

/** What a client may send on channel 0. Reserved fields are left out. */
export interface ConnectionMethods<T> {
  connectionStartOk(target: T, clientProperties: FieldTable, mechanism: string, response: Buffer, locale: string): void
  connectionSecureOk(target: T, response: Buffer): void
  connectionTuneOk(target: T, channelMax: number, frameMax: number, heartbeat: number): void
  connectionOpen(target: T, virtualHost: string): void
  connectionClose(target: T, replyCode: number, replyText: string, classId: number, methodId: number): void
  connectionCloseOk(target: T): void
  connectionUpdateSecret(target: T, newSecret: Buffer, reason: string): void
}

/** What a client may send on a channel of its own. Reserved fields are left out. */
export interface ChannelMethods<T> {
  channelOpen(target: T): void
  channelFlow(target: T, active: boolean): void
  channelFlowOk(target: T, active: boolean): void
  channelClose(target: T, replyCode: number, replyText: string, classId: number, methodId: number): void
  channelCloseOk(target: T): void
  accessRequest(
    target: T,
    realm: string,
    exclusive: boolean,
    passive: boolean,
    active: boolean,
    write: boolean,
    read: boolean,
  ): void
  exchangeDeclare(
    target: T,
    exchange: string,
    type: string,
    passive: boolean,
    durable: boolean,
    autoDelete: boolean,
    internal: boolean,
    nowait: boolean,
    args: FieldTable,
  ): void
  exchangeDelete(target: T, exchange: string, ifUnused: boolean, nowait: boolean): void
  exchangeBind(
    target: T,
    destination: string,
    source: string,
    routingKey: string,
    nowait: boolean,
    args: FieldTable,
  ): void
  exchangeUnbind(
    target: T,
    destination: string,
    source: string,
    routingKey: string,
    nowait: boolean,
    args: FieldTable,
  ): void
  queueDeclare(
    target: T,
    queue: string,
    passive: boolean,
    durable: boolean,
    exclusive: boolean,
    autoDelete: boolean,
    nowait: boolean,
    args: FieldTable,
  ): void
  queueBind(target: T, queue: string, exchange: string, routingKey: string, nowait: boolean, args: FieldTable): void
  queuePurge(target: T, queue: string, nowait: boolean): void
  queueDelete(target: T, queue: string, ifUnused: boolean, ifEmpty: boolean, nowait: boolean): void
  queueUnbind(target: T, queue: string, exchange: string, routingKey: string, args: FieldTable): void
  basicQos(target: T, prefetchSize: number, prefetchCount: number, global: boolean): void
  basicConsume(
    target: T,
    queue: string,
    consumerTag: string,
    noLocal: boolean,
    noAck: boolean,
    exclusive: boolean,
    nowait: boolean,
    args: FieldTable,
  ): void
  basicCancel(target: T, consumerTag: string, nowait: boolean): void
  basicCancelOk(target: T, consumerTag: string): void
  basicPublish(target: T, exchange: string, routingKey: string, mandatory: boolean, immediate: boolean): void
  basicGet(target: T, queue: string, noAck: boolean): void
  basicAck(target: T, deliveryTag: number | bigint, multiple: boolean): void
  basicReject(target: T, deliveryTag: number | bigint, requeue: boolean): void
  basicRecoverAsync(target: T, requeue: boolean): void
  basicRecover(target: T, requeue: boolean): void
  basicNack(target: T, deliveryTag: number | bigint, multiple: boolean, requeue: boolean): void
  confirmSelect(target: T, nowait: boolean): void
  txSelect(target: T): void
  txCommit(target: T): void
  txRollback(target: T): void
}

/**
 * Decodes the payload of a method frame, `buffer[start, end)`, and calls its handler. False when the method is unknown,
 * or not for clients to send.
 * @throws WireError 501 or 502
 */
export function dispatchConnection<T>(
  handlers: ConnectionMethods<T>,
  target: T,
  buffer: Buffer,
  start: number,
  end: number,
): boolean {
  switch (readUint32(buffer, start)) {
    case 0x000a000b: {
      const clientPropertiesEnd = longStringEnd(buffer, start + 4, end)
      const mechanismEnd = shortStringEnd(buffer, clientPropertiesEnd, end)
      const responseEnd = longStringEnd(buffer, mechanismEnd, end)
      const localeEnd = shortStringEnd(buffer, responseEnd, end)
      if (localeEnd !== end) throw cannotDecode(buffer, start, end)
      handlers.connectionStartOk(
        target,
        readTable(buffer, start + 4, end),
        readName(buffer, clientPropertiesEnd),
        readBytes(buffer, mechanismEnd),
        readName(buffer, responseEnd),
      )
      return true
    }
    case 0x000a0015: {
      const responseEnd = longStringEnd(buffer, start + 4, end)
      if (responseEnd !== end) throw cannotDecode(buffer, start, end)
      handlers.connectionSecureOk(target, readBytes(buffer, start + 4))
      return true
    }
    case 0x000a001f: {
      if (start + 12 !== end) throw cannotDecode(buffer, start, end)
      handlers.connectionTuneOk(
        target,
        readUint16(buffer, start + 4),
        readUint32(buffer, start + 6),
        readUint16(buffer, start + 10),
      )
      return true
    }
    case 0x000a0028: {
      const virtualHostEnd = shortStringEnd(buffer, start + 4, end)
      const capabilitiesEnd = shortStringEnd(buffer, virtualHostEnd, end)
      if (capabilitiesEnd + 1 !== end) throw cannotDecode(buffer, start, end)
      handlers.connectionOpen(target, readName(buffer, start + 4))
      return true
    }
    case 0x000a0032: {
      const replyTextEnd = shortStringEnd(buffer, start + 6, end)
      if (replyTextEnd + 4 !== end) throw cannotDecode(buffer, start, end)
      handlers.connectionClose(
        target,
        readUint16(buffer, start + 4),
        readName(buffer, start + 6),
        readUint16(buffer, replyTextEnd),
        readUint16(buffer, replyTextEnd + 2),
      )
      return true
    }
    case 0x000a0033: {
      if (start + 4 !== end) throw cannotDecode(buffer, start, end)
      handlers.connectionCloseOk(target)
      return true
    }
    case 0x000a0046: {
      const newSecretEnd = longStringEnd(buffer, start + 4, end)
      const reasonEnd = shortStringEnd(buffer, newSecretEnd, end)
      if (reasonEnd !== end) throw cannotDecode(buffer, start, end)
      handlers.connectionUpdateSecret(target, readBytes(buffer, start + 4), readName(buffer, newSecretEnd))
      return true
    }
    default:
      return false
  }
}

/**
 * Decodes the payload of a method frame, `buffer[start, end)`, and calls its handler. False when the method is unknown,
 * or not for clients to send.
 * @throws WireError 501 or 502
 */
export function dispatchChannel<T>(
  handlers: ChannelMethods<T>,
  target: T,
  buffer: Buffer,
  start: number,
  end: number,
): boolean {
  switch (readUint32(buffer, start)) {
    case 0x003c0028: {
      const exchangeEnd = shortStringEnd(buffer, start + 6, end)
      const routingKeyEnd = shortStringEnd(buffer, exchangeEnd, end)
      if (routingKeyEnd + 1 !== end) throw cannotDecode(buffer, start, end)
      handlers.basicPublish(
        target,
        readShortString(buffer, start + 6),
        readShortString(buffer, exchangeEnd),
        (buffer[routingKeyEnd]! & 1) !== 0,
        (buffer[routingKeyEnd]! & 2) !== 0,
      )
      return true
    }
    case 0x003c0050: {
      if (start + 13 !== end) throw cannotDecode(buffer, start, end)
      handlers.basicAck(target, readUint64(buffer, start + 4), (buffer[start + 12]! & 1) !== 0)
      return true
    }
    case 0x0014000a: {
      const outOfBandEnd = shortStringEnd(buffer, start + 4, end)
      if (outOfBandEnd !== end) throw cannotDecode(buffer, start, end)
      handlers.channelOpen(target)
      return true
    }
    case 0x00140014: {
      if (start + 5 !== end) throw cannotDecode(buffer, start, end)
      handlers.channelFlow(target, (buffer[start + 4]! & 1) !== 0)
      return true
    }
    case 0x00140015: {
      if (start + 5 !== end) throw cannotDecode(buffer, start, end)
      handlers.channelFlowOk(target, (buffer[start + 4]! & 1) !== 0)
      return true
    }
    case 0x00140028: {
      const replyTextEnd = shortStringEnd(buffer, start + 6, end)
      if (replyTextEnd + 4 !== end) throw cannotDecode(buffer, start, end)
      handlers.channelClose(
        target,
        readUint16(buffer, start + 4),
        readName(buffer, start + 6),
        readUint16(buffer, replyTextEnd),
        readUint16(buffer, replyTextEnd + 2),
      )
      return true
    }
    case 0x00140029: {
      if (start + 4 !== end) throw cannotDecode(buffer, start, end)
      handlers.channelCloseOk(target)
      return true
    }
    case 0x001e000a: {
      const realmEnd = shortStringEnd(buffer, start + 4, end)
      if (realmEnd + 1 !== end) throw cannotDecode(buffer, start, end)
      handlers.accessRequest(
        target,
        readName(buffer, start + 4),
        (buffer[realmEnd]! & 1) !== 0,
        (buffer[realmEnd]! & 2) !== 0,
        (buffer[realmEnd]! & 4) !== 0,
        (buffer[realmEnd]! & 8) !== 0,
        (buffer[realmEnd]! & 16) !== 0,
      )
      return true
    }
    case 0x0028000a: {
      const exchangeEnd = shortStringEnd(buffer, start + 6, end)
      const typeEnd = shortStringEnd(buffer, exchangeEnd, end)
      const argsEnd = longStringEnd(buffer, typeEnd + 1, end)
      if (argsEnd !== end) throw cannotDecode(buffer, start, end)
      handlers.exchangeDeclare(
        target,
        readName(buffer, start + 6),
        readName(buffer, exchangeEnd),
        (buffer[typeEnd]! & 1) !== 0,
        (buffer[typeEnd]! & 2) !== 0,
        (buffer[typeEnd]! & 4) !== 0,
        (buffer[typeEnd]! & 8) !== 0,
        (buffer[typeEnd]! & 16) !== 0,
        readTable(buffer, typeEnd + 1, end),
      )
      return true
    }
    case 0x00280014: {
      const exchangeEnd = shortStringEnd(buffer, start + 6, end)
      if (exchangeEnd + 1 !== end) throw cannotDecode(buffer, start, end)
      handlers.exchangeDelete(
        target,
        readName(buffer, start + 6),
        (buffer[exchangeEnd]! & 1) !== 0,
        (buffer[exchangeEnd]! & 2) !== 0,
      )
      return true
    }
    case 0x0028001e: {
      const destinationEnd = shortStringEnd(buffer, start + 6, end)
      const sourceEnd = shortStringEnd(buffer, destinationEnd, end)
      const routingKeyEnd = shortStringEnd(buffer, sourceEnd, end)
      const argsEnd = longStringEnd(buffer, routingKeyEnd + 1, end)
      if (argsEnd !== end) throw cannotDecode(buffer, start, end)
      handlers.exchangeBind(
        target,
        readName(buffer, start + 6),
        readName(buffer, destinationEnd),
        readName(buffer, sourceEnd),
        (buffer[routingKeyEnd]! & 1) !== 0,
        readTable(buffer, routingKeyEnd + 1, end),
      )
      return true
    }
    case 0x00280028: {
      const destinationEnd = shortStringEnd(buffer, start + 6, end)
      const sourceEnd = shortStringEnd(buffer, destinationEnd, end)
      const routingKeyEnd = shortStringEnd(buffer, sourceEnd, end)
      const argsEnd = longStringEnd(buffer, routingKeyEnd + 1, end)
      if (argsEnd !== end) throw cannotDecode(buffer, start, end)
      handlers.exchangeUnbind(
        target,
        readName(buffer, start + 6),
        readName(buffer, destinationEnd),
        readName(buffer, sourceEnd),
        (buffer[routingKeyEnd]! & 1) !== 0,
        readTable(buffer, routingKeyEnd + 1, end),
      )
      return true
    }
    case 0x0032000a: {
      const queueEnd = shortStringEnd(buffer, start + 6, end)
      const argsEnd = longStringEnd(buffer, queueEnd + 1, end)
      if (argsEnd !== end) throw cannotDecode(buffer, start, end)
      handlers.queueDeclare(
        target,
        readName(buffer, start + 6),
        (buffer[queueEnd]! & 1) !== 0,
        (buffer[queueEnd]! & 2) !== 0,
        (buffer[queueEnd]! & 4) !== 0,
        (buffer[queueEnd]! & 8) !== 0,
        (buffer[queueEnd]! & 16) !== 0,
        readTable(buffer, queueEnd + 1, end),
      )
      return true
    }
    case 0x00320014: {
      const queueEnd = shortStringEnd(buffer, start + 6, end)
      const exchangeEnd = shortStringEnd(buffer, queueEnd, end)
      const routingKeyEnd = shortStringEnd(buffer, exchangeEnd, end)
      const argsEnd = longStringEnd(buffer, routingKeyEnd + 1, end)
      if (argsEnd !== end) throw cannotDecode(buffer, start, end)
      handlers.queueBind(
        target,
        readName(buffer, start + 6),
        readName(buffer, queueEnd),
        readName(buffer, exchangeEnd),
        (buffer[routingKeyEnd]! & 1) !== 0,
        readTable(buffer, routingKeyEnd + 1, end),
      )
      return true
    }
    case 0x0032001e: {
      const queueEnd = shortStringEnd(buffer, start + 6, end)
      if (queueEnd + 1 !== end) throw cannotDecode(buffer, start, end)
      handlers.queuePurge(target, readName(buffer, start + 6), (buffer[queueEnd]! & 1) !== 0)
      return true
    }
    case 0x00320028: {
      const queueEnd = shortStringEnd(buffer, start + 6, end)
      if (queueEnd + 1 !== end) throw cannotDecode(buffer, start, end)
      handlers.queueDelete(
        target,
        readName(buffer, start + 6),
        (buffer[queueEnd]! & 1) !== 0,
        (buffer[queueEnd]! & 2) !== 0,
        (buffer[queueEnd]! & 4) !== 0,
      )
      return true
    }
    case 0x00320032: {
      const queueEnd = shortStringEnd(buffer, start + 6, end)
      const exchangeEnd = shortStringEnd(buffer, queueEnd, end)
      const routingKeyEnd = shortStringEnd(buffer, exchangeEnd, end)
      const argsEnd = longStringEnd(buffer, routingKeyEnd, end)
      if (argsEnd !== end) throw cannotDecode(buffer, start, end)
      handlers.queueUnbind(
        target,
        readName(buffer, start + 6),
        readName(buffer, queueEnd),
        readName(buffer, exchangeEnd),
        readTable(buffer, routingKeyEnd, end),
      )
      return true
    }
    case 0x003c000a: {
      if (start + 11 !== end) throw cannotDecode(buffer, start, end)
      handlers.basicQos(
        target,
        readUint32(buffer, start + 4),
        readUint16(buffer, start + 8),
        (buffer[start + 10]! & 1) !== 0,
      )
      return true
    }
    case 0x003c0014: {
      const queueEnd = shortStringEnd(buffer, start + 6, end)
      const consumerTagEnd = shortStringEnd(buffer, queueEnd, end)
      const argsEnd = longStringEnd(buffer, consumerTagEnd + 1, end)
      if (argsEnd !== end) throw cannotDecode(buffer, start, end)
      handlers.basicConsume(
        target,
        readName(buffer, start + 6),
        readName(buffer, queueEnd),
        (buffer[consumerTagEnd]! & 1) !== 0,
        (buffer[consumerTagEnd]! & 2) !== 0,
        (buffer[consumerTagEnd]! & 4) !== 0,
        (buffer[consumerTagEnd]! & 8) !== 0,
        readTable(buffer, consumerTagEnd + 1, end),
      )
      return true
    }
    case 0x003c001e: {
      const consumerTagEnd = shortStringEnd(buffer, start + 4, end)
      if (consumerTagEnd + 1 !== end) throw cannotDecode(buffer, start, end)
      handlers.basicCancel(target, readName(buffer, start + 4), (buffer[consumerTagEnd]! & 1) !== 0)
      return true
    }
    case 0x003c001f: {
      const consumerTagEnd = shortStringEnd(buffer, start + 4, end)
      if (consumerTagEnd !== end) throw cannotDecode(buffer, start, end)
      handlers.basicCancelOk(target, readName(buffer, start + 4))
      return true
    }
    case 0x003c0046: {
      const queueEnd = shortStringEnd(buffer, start + 6, end)
      if (queueEnd + 1 !== end) throw cannotDecode(buffer, start, end)
      handlers.basicGet(target, readName(buffer, start + 6), (buffer[queueEnd]! & 1) !== 0)
      return true
    }
    case 0x003c005a: {
      if (start + 13 !== end) throw cannotDecode(buffer, start, end)
      handlers.basicReject(target, readUint64(buffer, start + 4), (buffer[start + 12]! & 1) !== 0)
      return true
    }
    case 0x003c0064: {
      if (start + 5 !== end) throw cannotDecode(buffer, start, end)
      handlers.basicRecoverAsync(target, (buffer[start + 4]! & 1) !== 0)
      return true
    }
    case 0x003c006e: {
      if (start + 5 !== end) throw cannotDecode(buffer, start, end)
      handlers.basicRecover(target, (buffer[start + 4]! & 1) !== 0)
      return true
    }
    case 0x003c0078: {
      if (start + 13 !== end) throw cannotDecode(buffer, start, end)
      handlers.basicNack(
        target,
        readUint64(buffer, start + 4),
        (buffer[start + 12]! & 1) !== 0,
        (buffer[start + 12]! & 2) !== 0,
      )
      return true
    }
    case 0x0055000a: {
      if (start + 5 !== end) throw cannotDecode(buffer, start, end)
      handlers.confirmSelect(target, (buffer[start + 4]! & 1) !== 0)
      return true
    }
    case 0x005a000a: {
      if (start + 4 !== end) throw cannotDecode(buffer, start, end)
      handlers.txSelect(target)
      return true
    }
    case 0x005a0014: {
      if (start + 4 !== end) throw cannotDecode(buffer, start, end)
      handlers.txCommit(target)
      return true
    }
    case 0x005a001e: {
      if (start + 4 !== end) throw cannotDecode(buffer, start, end)
      handlers.txRollback(target)
      return true
    }
    default:
      return false
  }
}

/** Writes a whole frame of connection.start. */
export function writeConnectionStart(
  out: FrameOutput,
  channel: number,
  versionMajor: number,
  versionMinor: number,
  serverProperties: FieldTable,
  mechanisms: string,
  locales: string,
): void {
  const serverPropertiesBytes = encodeTable(serverProperties)
  out.reserve(22 + serverPropertiesBytes.length + textBytes(mechanisms) + textBytes(locales))
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x000a000a)
  buffer[position++] = versionMajor
  buffer[position++] = versionMinor
  position = writeEncoded(buffer, position, serverPropertiesBytes)
  position = writeLongString(buffer, position, mechanisms)
  position = writeLongString(buffer, position, locales)
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of connection.secure. */
export function writeConnectionSecure(out: FrameOutput, channel: number, challenge: Buffer): void {
  out.reserve(16 + challenge.length)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x000a0014)
  position = writeBytes(buffer, position, challenge)
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of connection.tune. */
export function writeConnectionTune(
  out: FrameOutput,
  channel: number,
  channelMax: number,
  frameMax: number,
  heartbeat: number,
): void {
  out.reserve(20)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x000a001e)
  position = writeUint16(buffer, position, channelMax)
  position = writeUint32(buffer, position, frameMax)
  position = writeUint16(buffer, position, heartbeat)
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of connection.open-ok. */
export function writeConnectionOpenOk(out: FrameOutput, channel: number): void {
  out.reserve(13)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x000a0029)
  buffer[position++] = 0
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of connection.close. */
export function writeConnectionClose(
  out: FrameOutput,
  channel: number,
  replyCode: number,
  replyText: string,
  classId: number,
  methodId: number,
): void {
  out.reserve(274)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x000a0032)
  position = writeUint16(buffer, position, replyCode)
  position = writeShortString(buffer, position, replyText)
  position = writeUint16(buffer, position, classId)
  position = writeUint16(buffer, position, methodId)
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of connection.close-ok. */
export function writeConnectionCloseOk(out: FrameOutput, channel: number): void {
  out.reserve(12)
  const buffer = out.buffer
  const start = out.position
  const position = beginMethod(buffer, start, channel, 0x000a0033)

  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of connection.blocked. */
export function writeConnectionBlocked(out: FrameOutput, channel: number, reason: string): void {
  out.reserve(268)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x000a003c)
  position = writeShortString(buffer, position, reason)
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of connection.unblocked. */
export function writeConnectionUnblocked(out: FrameOutput, channel: number): void {
  out.reserve(12)
  const buffer = out.buffer
  const start = out.position
  const position = beginMethod(buffer, start, channel, 0x000a003d)

  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of connection.update-secret-ok. */
export function writeConnectionUpdateSecretOk(out: FrameOutput, channel: number): void {
  out.reserve(12)
  const buffer = out.buffer
  const start = out.position
  const position = beginMethod(buffer, start, channel, 0x000a0047)

  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of channel.open-ok. */
export function writeChannelOpenOk(out: FrameOutput, channel: number): void {
  out.reserve(16)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x0014000b)
  position = writeUint32(buffer, position, 0)
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of channel.flow. */
export function writeChannelFlow(out: FrameOutput, channel: number, active: boolean): void {
  out.reserve(13)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x00140014)
  buffer[position++] = active ? 1 : 0
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of channel.flow-ok. */
export function writeChannelFlowOk(out: FrameOutput, channel: number, active: boolean): void {
  out.reserve(13)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x00140015)
  buffer[position++] = active ? 1 : 0
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of channel.close. */
export function writeChannelClose(
  out: FrameOutput,
  channel: number,
  replyCode: number,
  replyText: string,
  classId: number,
  methodId: number,
): void {
  out.reserve(274)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x00140028)
  position = writeUint16(buffer, position, replyCode)
  position = writeShortString(buffer, position, replyText)
  position = writeUint16(buffer, position, classId)
  position = writeUint16(buffer, position, methodId)
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of channel.close-ok. */
export function writeChannelCloseOk(out: FrameOutput, channel: number): void {
  out.reserve(12)
  const buffer = out.buffer
  const start = out.position
  const position = beginMethod(buffer, start, channel, 0x00140029)

  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of access.request-ok. */
export function writeAccessRequestOk(out: FrameOutput, channel: number, ticket: number): void {
  out.reserve(14)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x001e000b)
  position = writeUint16(buffer, position, ticket)
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of exchange.declare-ok. */
export function writeExchangeDeclareOk(out: FrameOutput, channel: number): void {
  out.reserve(12)
  const buffer = out.buffer
  const start = out.position
  const position = beginMethod(buffer, start, channel, 0x0028000b)

  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of exchange.delete-ok. */
export function writeExchangeDeleteOk(out: FrameOutput, channel: number): void {
  out.reserve(12)
  const buffer = out.buffer
  const start = out.position
  const position = beginMethod(buffer, start, channel, 0x00280015)

  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of exchange.bind-ok. */
export function writeExchangeBindOk(out: FrameOutput, channel: number): void {
  out.reserve(12)
  const buffer = out.buffer
  const start = out.position
  const position = beginMethod(buffer, start, channel, 0x0028001f)

  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of exchange.unbind-ok. */
export function writeExchangeUnbindOk(out: FrameOutput, channel: number): void {
  out.reserve(12)
  const buffer = out.buffer
  const start = out.position
  const position = beginMethod(buffer, start, channel, 0x00280033)

  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of queue.declare-ok. */
export function writeQueueDeclareOk(
  out: FrameOutput,
  channel: number,
  queue: string,
  messageCount: number,
  consumerCount: number,
): void {
  out.reserve(276)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x0032000b)
  position = writeShortString(buffer, position, queue)
  position = writeUint32(buffer, position, messageCount)
  position = writeUint32(buffer, position, consumerCount)
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of queue.bind-ok. */
export function writeQueueBindOk(out: FrameOutput, channel: number): void {
  out.reserve(12)
  const buffer = out.buffer
  const start = out.position
  const position = beginMethod(buffer, start, channel, 0x00320015)

  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of queue.purge-ok. */
export function writeQueuePurgeOk(out: FrameOutput, channel: number, messageCount: number): void {
  out.reserve(16)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x0032001f)
  position = writeUint32(buffer, position, messageCount)
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of queue.delete-ok. */
export function writeQueueDeleteOk(out: FrameOutput, channel: number, messageCount: number): void {
  out.reserve(16)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x00320029)
  position = writeUint32(buffer, position, messageCount)
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of queue.unbind-ok. */
export function writeQueueUnbindOk(out: FrameOutput, channel: number): void {
  out.reserve(12)
  const buffer = out.buffer
  const start = out.position
  const position = beginMethod(buffer, start, channel, 0x00320033)

  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of basic.qos-ok. */
export function writeBasicQosOk(out: FrameOutput, channel: number): void {
  out.reserve(12)
  const buffer = out.buffer
  const start = out.position
  const position = beginMethod(buffer, start, channel, 0x003c000b)

  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of basic.consume-ok. */
export function writeBasicConsumeOk(out: FrameOutput, channel: number, consumerTag: string): void {
  out.reserve(268)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x003c0015)
  position = writeShortString(buffer, position, consumerTag)
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of basic.cancel. */
export function writeBasicCancel(out: FrameOutput, channel: number, consumerTag: string, nowait: boolean): void {
  out.reserve(269)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x003c001e)
  position = writeShortString(buffer, position, consumerTag)
  buffer[position++] = nowait ? 1 : 0
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of basic.cancel-ok. */
export function writeBasicCancelOk(out: FrameOutput, channel: number, consumerTag: string): void {
  out.reserve(268)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x003c001f)
  position = writeShortString(buffer, position, consumerTag)
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of basic.return. */
export function writeBasicReturn(
  out: FrameOutput,
  channel: number,
  replyCode: number,
  replyText: string,
  exchange: string,
  routingKey: string,
): void {
  out.reserve(782)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x003c0032)
  position = writeUint16(buffer, position, replyCode)
  position = writeShortString(buffer, position, replyText)
  position = writeShortString(buffer, position, exchange)
  position = writeShortString(buffer, position, routingKey)
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of basic.deliver. */
export function writeBasicDeliver(
  out: FrameOutput,
  channel: number,
  consumerTag: string,
  deliveryTag: number | bigint,
  redelivered: boolean,
  exchange: string,
  routingKey: string,
): void {
  out.reserve(789)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x003c003c)
  position = writeShortString(buffer, position, consumerTag)
  position = writeUint64(buffer, position, deliveryTag)
  buffer[position++] = redelivered ? 1 : 0
  position = writeShortString(buffer, position, exchange)
  position = writeShortString(buffer, position, routingKey)
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of basic.get-ok. */
export function writeBasicGetOk(
  out: FrameOutput,
  channel: number,
  deliveryTag: number | bigint,
  redelivered: boolean,
  exchange: string,
  routingKey: string,
  messageCount: number,
): void {
  out.reserve(537)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x003c0047)
  position = writeUint64(buffer, position, deliveryTag)
  buffer[position++] = redelivered ? 1 : 0
  position = writeShortString(buffer, position, exchange)
  position = writeShortString(buffer, position, routingKey)
  position = writeUint32(buffer, position, messageCount)
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of basic.get-empty. */
export function writeBasicGetEmpty(out: FrameOutput, channel: number): void {
  out.reserve(13)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x003c0048)
  buffer[position++] = 0
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of basic.ack. */
export function writeBasicAck(
  out: FrameOutput,
  channel: number,
  deliveryTag: number | bigint,
  multiple: boolean,
): void {
  out.reserve(21)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x003c0050)
  position = writeUint64(buffer, position, deliveryTag)
  buffer[position++] = multiple ? 1 : 0
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of basic.recover-ok. */
export function writeBasicRecoverOk(out: FrameOutput, channel: number): void {
  out.reserve(12)
  const buffer = out.buffer
  const start = out.position
  const position = beginMethod(buffer, start, channel, 0x003c006f)

  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of basic.nack. */
export function writeBasicNack(
  out: FrameOutput,
  channel: number,
  deliveryTag: number | bigint,
  multiple: boolean,
  requeue: boolean,
): void {
  out.reserve(21)
  const buffer = out.buffer
  const start = out.position
  let position = beginMethod(buffer, start, channel, 0x003c0078)
  position = writeUint64(buffer, position, deliveryTag)
  buffer[position++] = (multiple ? 1 : 0) | (requeue ? 2 : 0)
  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of confirm.select-ok. */
export function writeConfirmSelectOk(out: FrameOutput, channel: number): void {
  out.reserve(12)
  const buffer = out.buffer
  const start = out.position
  const position = beginMethod(buffer, start, channel, 0x0055000b)

  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of tx.select-ok. */
export function writeTxSelectOk(out: FrameOutput, channel: number): void {
  out.reserve(12)
  const buffer = out.buffer
  const start = out.position
  const position = beginMethod(buffer, start, channel, 0x005a000b)

  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of tx.commit-ok. */
export function writeTxCommitOk(out: FrameOutput, channel: number): void {
  out.reserve(12)
  const buffer = out.buffer
  const start = out.position
  const position = beginMethod(buffer, start, channel, 0x005a0015)

  out.position = endFrame(buffer, start, position)
}

/** Writes a whole frame of tx.rollback-ok. */
export function writeTxRollbackOk(out: FrameOutput, channel: number): void {
  out.reserve(12)
  const buffer = out.buffer
  const start = out.position
  const position = beginMethod(buffer, start, channel, 0x005a001f)

  out.position = endFrame(buffer, start, position)
}
