// The connection class: the steps of the handshake, and what a running connection may still ask.
import type { Handshake } from '../handshake.ts'
import { Method, writeConnectionUpdateSecretOk, type ConnectionMethods } from '../wire/generated.ts'

/** What generated dispatch calls. connection.close and close-ok are the connection's own, in every state. */
export const connectionMethods: ConnectionMethods<Handshake> = {
  connectionStartOk(handshake, clientProperties, mechanism, response) {
    handshake.startOk(clientProperties, mechanism, response)
  },

  connectionSecureOk(handshake) {
    // None of the mechanisms has a second round.
    throw handshake.unexpected(Method.connectionSecureOk)
  },

  connectionTuneOk(handshake, channelMax, frameMax, heartbeat) {
    handshake.tuneOk(channelMax, frameMax, heartbeat)
  },

  connectionOpen(handshake, virtualHost) {
    handshake.open(virtualHost)
  },

  connectionClose(handshake) {
    handshake.connection.answerClose()
  },

  connectionCloseOk(handshake) {
    throw handshake.unexpected(Method.connectionCloseOk)
  },

  connectionUpdateSecret(handshake) {
    const { connection } = handshake
    if (!connection.running) throw handshake.unexpected(Method.connectionUpdateSecret)
    // RabbitMQ: users of the internal database need no new secret, and are told that all is well.
    writeConnectionUpdateSecretOk(connection.writer, 0)
  },
}
