// What the wire layer throws when a peer breaks the rules of framing or encoding.

/**
 * A violation below the level of methods: the connection cannot go on. The message is the explanation as it goes into
 * the reply text, after the name of the code.
 */
export class WireError extends Error {
  /** The reply code of connection.close: 501, 502 or 505. */
  readonly replyCode: number
  /** Class and method id, as one number, of a method that cannot be decoded; 0 for anything else. */
  readonly method: number

  constructor(replyCode: number, message: string, method = 0) {
    super(message)
    this.name = 'WireError'
    this.replyCode = replyCode
    this.method = method
  }
}
