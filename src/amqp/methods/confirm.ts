// The confirm and tx classes.
import { BrokerError } from '../../core/errors.ts'
import { Confirms } from '../confirms.ts'
import type { Channel } from '../channel.ts'
import { writeConfirmSelectOk, writeTxRollbackOk, writeTxSelectOk, type ChannelMethods } from '../wire/generated.ts'

type ConfirmMethods = Pick<ChannelMethods<Channel>, 'confirmSelect' | 'txSelect' | 'txCommit' | 'txRollback'>

export const confirmMethods: ConfirmMethods = {
  confirmSelect(channel, nowait) {
    const { connection } = channel
    if (channel.transaction !== null) throw refused('cannot switch from tx to confirm mode')
    const { number, counts, publishes } = channel
    channel.confirms ??= new Confirms(connection.context.turn, connection.writer, number, counts, publishes)
    if (!nowait) writeConfirmSelectOk(connection.writer, channel.number)
  },

  txSelect(channel) {
    if (channel.confirms !== null) throw refused('cannot switch from confirm to tx mode')
    channel.beginTransactions()
    writeTxSelectOk(channel.connection.writer, channel.number)
  },

  txCommit(channel) {
    if (channel.transaction === null) throw refused('channel is not transactional')
    // tx.commit-ok is the channel's to send, when everything is safe.
    channel.commit(channel.transaction)
  },

  txRollback(channel) {
    if (channel.transaction === null) throw refused('channel is not transactional')
    channel.rollback(channel.transaction)
    writeTxRollbackOk(channel.connection.writer, channel.number)
  },
}

function refused(sentence: string): BrokerError {
  return new BrokerError('precondition-failed', sentence)
}
