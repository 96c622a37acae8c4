// Why the broker could not start.

/** A start that failed for a reason the operator can mend. The message is the sentence to print. */
export class StartError extends Error {
  constructor(sentence: string, options?: ErrorOptions) {
    super(sentence, options)
    this.name = 'StartError'
  }
}
