// A rule of an exchange: which messages go on to which queue or exchange.
import { tableIdentity } from '../arguments/table-identity.ts'
import type { Queue } from '../queue/queue.ts'
import type { FieldTable } from '../value.ts'
import { Exchange } from './exchange.ts'

/** One binding. What it means to route by it is the source's business. */
export class Binding {
  readonly source: Exchange
  readonly destination: Queue | Exchange
  /** The destination if it is a queue, and otherwise null: routing asks this of each binding, so it costs one load. */
  readonly queue: Queue | null
  /** The destination if it is an exchange, and otherwise null. */
  readonly exchange: Exchange | null
  readonly routingKey: string
  readonly arguments: FieldTable
  /**
   * The same for two bindings of one source exactly if they are the same binding: same destination, same routing key
   * and same arguments in whatever order (AMQP 0-9-1 §1.7.2.3; RabbitMQ counts the arguments).
   */
  readonly identity: string
  /** Kept by the chain that the binding stands in. */
  next: Binding | null = null
  previous: Binding | null = null

  constructor(source: Exchange, destination: Queue | Exchange, routingKey: string, args: FieldTable) {
    this.source = source
    this.destination = destination
    if (destination instanceof Exchange) {
      this.queue = null
      this.exchange = destination
    } else {
      this.queue = destination
      this.exchange = null
    }
    this.routingKey = routingKey
    this.arguments = args
    this.identity = bindingIdentity(this.destinationKind, destination.name, routingKey, args)
  }

  get destinationKind(): 'queue' | 'exchange' {
    return this.queue === null ? 'exchange' : 'queue'
  }
}

/** The identity of a binding within its source. Names and keys are told apart by their lengths. */
export function bindingIdentity(
  destinationKind: 'queue' | 'exchange',
  destination: string,
  routingKey: string,
  args: FieldTable,
): string {
  const kind = destinationKind === 'queue' ? 'q' : 'e'
  const table = args.size === 0 ? '' : tableIdentity(args)
  return `${kind}${destination.length}:${destination}${routingKey.length}:${routingKey}${table}`
}

/**
 * Some bindings of one source, strung together by themselves: nothing else is made for the one binding that most keys
 * have, and removing one costs the same among ten and among a million.
 */
export interface BindingChain {
  first: Binding | null
}

/** Puts a binding at the front of a chain. It stands in one chain at most. */
export function link(chain: BindingChain, binding: Binding): void {
  binding.next = chain.first
  if (chain.first !== null) chain.first.previous = binding
  chain.first = binding
}

/** Takes a binding out of the chain that it stands in. */
export function unlink(chain: BindingChain, binding: Binding): void {
  if (binding.previous !== null) binding.previous.next = binding.next
  else chain.first = binding.next
  if (binding.next !== null) binding.next.previous = binding.previous
  binding.next = null
  binding.previous = null
}
