// The confirm and tx classes.
import { Confirms } from '../confirms.ts'
import type { Channel } from '../channel.ts'
import { AmqpError } from '../errors.ts'
import { ReplyCode, writeConfirmSelectOk, type ChannelMethods } from '../wire/generated.ts'

type ConfirmMethods = Pick<ChannelMethods<Channel>, 'confirmSelect' | 'txSelect' | 'txCommit' | 'txRollback'>

export const confirmMethods: ConfirmMethods = {
  confirmSelect(channel, nowait) {
    const { connection } = channel
    channel.confirms ??= new Confirms(connection.context.turn, connection.writer, channel.number, channel.counts)
    if (!nowait) writeConfirmSelectOk(connection.writer, channel.number)
  },
  txSelect: refuseTransactions,
  txCommit: refuseTransactions,
  txRollback: refuseTransactions,
}

function refuseTransactions(): never {
  throw new AmqpError('connection', ReplyCode.notImplemented, 'transactions are not supported by this version')
}
