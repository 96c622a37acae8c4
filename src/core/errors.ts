// What the core refuses, by meaning. Each front end has one table from these codes to its own wire.

/** The meaning of a refusal. `amqp/errors.ts` says which reply code and scope each has there. */
export type BrokerErrorCode =
  | 'not-found'
  | 'access-refused'
  | 'resource-locked'
  | 'precondition-failed'
  | 'not-allowed'
  | 'not-implemented'
  | 'internal-error'

/** A command that was refused. The message is RabbitMQ's sentence, without the code's name in front. */
export class BrokerError extends Error {
  readonly code: BrokerErrorCode

  constructor(code: BrokerErrorCode, sentence: string, options?: ErrorOptions) {
    super(sentence, options)
    this.name = 'BrokerError'
    this.code = code
  }
}
