// What the API refuses, and the one table from the core's refusals to HTTP (RabbitMQ's codes and words).
import type { BrokerError } from '../core/errors.ts'

/** A JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json | undefined }
/** An object as JSON has it. */
export type JsonObject = { readonly [key: string]: Json | undefined }

/** A refusal with its status and body. */
export class HttpError extends Error {
  readonly status: number
  readonly error: string
  readonly reason: Json

  constructor(status: number, error: string, reason: Json, options?: ErrorOptions) {
    super(`${error}: ${typeof reason === 'string' ? reason : JSON.stringify(reason)}`, options)
    this.name = 'HttpError'
    this.status = status
    this.error = error
    this.reason = reason
  }
}

/** 400, with RabbitMQ's reason. */
export function badRequest(reason: Json): HttpError {
  return new HttpError(400, 'bad_request', reason)
}

/** There is no such object. */
export function notFound(): HttpError {
  return new HttpError(404, 'Object Not Found', 'Not Found')
}

/** RabbitMQ answers 401, never 403, to somebody who is known and may not. */
export function notAuthorised(reason: string): HttpError {
  return new HttpError(401, 'not_authorised', reason)
}

/** The same refusal in HTTP's terms. */
export function fromBrokerError(error: BrokerError): HttpError {
  const options = { cause: error }
  switch (error.code) {
    case 'not-found':
      return new HttpError(404, 'not_found', error.message, options)
    case 'access-refused':
    case 'not-allowed':
      return new HttpError(401, 'not_authorised', 'Access refused.', options)
    case 'resource-locked':
    case 'precondition-failed':
    case 'not-implemented':
      return new HttpError(400, 'bad_request', error.message, options)
    case 'internal-error':
      return new HttpError(500, 'internal_error', error.message, options)
  }
}

/** AMQP's words for what is a bad request in HTTP's. */
const AMQP_WORDS = {
  'resource-locked': '405 RESOURCE_LOCKED',
  'precondition-failed': '406 PRECONDITION_FAILED',
  'not-implemented': '540 NOT_IMPLEMENTED',
} as const

/** The same where RabbitMQ asks a channel by itself, for messages: a bad request then begins with AMQP's code. */
export function fromChannelError(error: BrokerError): HttpError {
  const { status, error: name, reason } = fromBrokerError(error)
  if (!Object.hasOwn(AMQP_WORDS, error.code)) return new HttpError(status, name, reason, { cause: error })
  const words = AMQP_WORDS[error.code as keyof typeof AMQP_WORDS]
  return new HttpError(status, name, `${words} - ${error.message}`, { cause: error })
}
