// A broker that programs are run on.
import { once } from 'node:events'
import { Agent, request, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'

/** An answer of the HTTP API. */
export interface Answer {
  readonly status: number
  readonly body: string
}

const VHOST_RIGHTS = { configure: '.*', write: '.*', read: '.*' }
const AUTHORIZATION = `Basic ${btoa('guest:guest')}`

/** One vhost of a broker, for the programs of one lane alone. */
export class Peer {
  readonly port: number
  readonly vhost: string
  readonly #managementPort: number
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })

  private constructor(port: number, managementPort: number, vhost: string) {
    this.port = port
    this.#managementPort = managementPort
    this.vhost = vhost
  }

  /** Adds the vhost to a broker; guest may do everything in it. */
  static async add(port: number, managementPort: number, vhost: string): Promise<Peer> {
    const peer = new Peer(port, managementPort, vhost)
    for (const [path, body] of [
      [`vhosts/${vhost}`, {}],
      [`permissions/${vhost}/guest`, VHOST_RIGHTS],
    ] as const) {
      const { status, body: answer } = await peer.call('PUT', path, body)
      if (status >= 300) throw new Error(`${path}: ${status} ${answer}`)
    }
    return peer
  }

  /** Another vhost of the same broker. Its name is no longer: texts are cut where they get too long. */
  async another(): Promise<Peer> {
    this.leave()
    const [lane, turn] = this.vhost.split('.')
    return Peer.add(this.port, this.#managementPort, `${lane}.${Number(turn ?? 0) + 1}`)
  }

  /** Asks the HTTP API for what is below `/api/`. */
  async call(method: string, path: string, body?: object): Promise<Answer> {
    const asking = request({
      host: '127.0.0.1',
      port: this.#managementPort,
      agent: this.#agent,
      method,
      path: `/api/${path}`,
      headers: { authorization: AUTHORIZATION, 'content-type': 'application/json' },
    })
    asking.end(body === undefined ? undefined : JSON.stringify(body))
    const [response] = (await once(asking, 'response')) as [IncomingMessage]
    return { status: response.statusCode ?? 0, body: await text(response) }
  }

  /** Gives its connection back. */
  leave(): void {
    this.#agent.destroy()
  }
}
