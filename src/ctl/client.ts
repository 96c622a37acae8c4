// Speaks to a broker's HTTP API for the command line.

/** How commands end: RabbitMQ's codes, which scripts know from rabbitmqctl. */
export const CtlExit = { done: 0, usage: 64, data: 65, noUser: 67, unavailable: 69, software: 70 } as const

/** A command that failed. The message is the sentence to print. */
export class CtlError extends Error {
  readonly code: number
  /** The status of the answer that it is about, if there was one. */
  readonly status: number | null

  constructor(code: number, sentence: string, options?: ErrorOptions & { readonly status?: number }) {
    super(sentence, options)
    this.name = 'CtlError'
    this.code = code
    this.status = options?.status ?? null
  }
}

/** Where the broker is, and who asks. */
export interface Target {
  readonly url: string
  readonly user: string
  readonly password: string
}

/** One object of an answer. */
export type Row = Readonly<Record<string, unknown>>
type Method = 'GET' | 'PUT' | 'POST' | 'DELETE'

/** One broker's API. */
export class ApiClient {
  readonly #base: string
  readonly #authorization: string

  constructor({ url, user, password }: Target) {
    this.#base = url.replace(/\/+$/, '')
    this.#authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  }

  /** Calls a path whose names are given apart, so that each is encoded once. Throws CtlError. */
  async call(
    method: Method,
    parts: readonly string[],
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
    query: Readonly<Record<string, string>> = {},
  ): Promise<unknown> {
    const path = parts.map((part) => encodeURIComponent(part)).join('/')
    const question = Object.keys(query).length === 0 ? '' : `?${new URLSearchParams(query).toString()}`
    const response = await this.#send(`${this.#base}/api/${path}${question}`, {
      method,
      headers: { authorization: this.#authorization, 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) throw refusal(response.status, text, parts)
    if (response.headers.get('content-type')?.startsWith('text/plain') === true) return text
    return text === '' ? undefined : (JSON.parse(text) as unknown)
  }

  async rows(...parts: readonly string[]): Promise<readonly Row[]> {
    return (await this.call('GET', parts)) as readonly Row[]
  }

  async #send(url: string, init: RequestInit): Promise<Response> {
    try {
      return await fetch(url, init)
    } catch (error) {
      if (!(error instanceof TypeError)) throw error
      const sentence = `no broker answers at ${this.#base}`
      throw new CtlError(CtlExit.unavailable, sentence, { cause: error })
    }
  }
}

function refusal(status: number, text: string, parts: readonly string[]): CtlError {
  const failed = (code: number, sentence: string): CtlError => new CtlError(code, sentence, { status })
  const reason = reasonOf(text) ?? `the broker answered ${status}`
  if (status === 404 && parts[0] === 'users') return failed(CtlExit.noUser, `there is no user ${parts[1] ?? ''}`)
  if (status === 404) return failed(CtlExit.data, `there is no such thing: ${parts.join(' ')}`)
  if (status >= 500) return failed(status === 503 ? CtlExit.unavailable : CtlExit.software, reason)
  return failed(CtlExit.data, reason)
}

function reasonOf(text: string): string | null {
  try {
    const { reason } = JSON.parse(text) as { readonly reason?: unknown }
    return typeof reason === 'string' ? reason : JSON.stringify(reason)
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}
