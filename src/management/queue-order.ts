// The queues of vhosts in the order of their names, kept as long as none comes or goes: it is what lists are asked for most.
import type { Broker } from '../core/broker.ts'
import type { Queue } from '../core/queue/queue.ts'
import type { VHost } from '../core/vhost.ts'
import type { Slices } from '../lib/slices.ts'
import { firstInOrder, type Order } from './order.ts'

interface Kept {
  /** How many queues had come and gone in all vhosts. */
  readonly changes: number
  /** In order; null until somebody asks a second time. */
  readonly queues: readonly Queue[] | null
}

const BY_NAME: Order<Queue> = { key: null, vhost: () => '', name: ({ name }) => name, reverse: false }

/** Knows the order of queues. */
export class QueueOrder {
  readonly #broker: Pick<Broker, 'churn'>
  readonly #slices: Slices
  readonly #kept = new WeakMap<VHost, Kept>()

  constructor(broker: Pick<Broker, 'churn'>, slices: Slices) {
    this.#broker = broker
    this.#slices = slices
  }

  /**
   * The queues of these vhosts, by vhost and name; null where that is not known, and not worth finding out: queues come
   * and go between one request and the next.
   */
  async of(vhosts: readonly VHost[]): Promise<readonly Queue[] | null> {
    const ordered: (readonly Queue[])[] = []
    let known = true
    for (const vhost of vhosts.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      const queues = this.#known(vhost) ?? (await this.#found(vhost))
      if (queues === null) known = false
      else ordered.push(queues)
    }
    if (!known) return null
    return ordered.length === 1 ? ordered[0]! : ordered.flat()
  }

  get #changes(): number {
    const { queuesCreated, queuesDeleted } = this.#broker.churn
    return queuesCreated + queuesDeleted
  }

  #known(vhost: VHost): readonly Queue[] | null {
    const kept = this.#kept.get(vhost)
    return kept?.changes === this.#changes ? kept.queues : null
  }

  async #found(vhost: VHost): Promise<readonly Queue[] | null> {
    const changes = this.#changes
    if (this.#kept.get(vhost)?.changes !== changes) {
      this.#kept.set(vhost, { changes, queues: null })
      return null
    }
    await this.#slices.begin()
    const queues = await firstInOrder([...vhost.queues.values()], BY_NAME, Infinity, this.#slices)
    if (this.#changes !== changes) return null
    this.#kept.set(vhost, { changes, queues })
    return queues
  }
}
