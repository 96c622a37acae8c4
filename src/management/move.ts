// Moving messages from a queue to somewhere else, one after the other, none of them lost on the way.
import type { Session } from '../core/session.ts'
import { Confirmation } from './confirmation.ts'
import { badRequest } from './http-error.ts'
import type { Call } from './route.ts'

/** Where messages are moved to. */
export interface MoveTarget {
  readonly exchange: string
  readonly routingKey: string
}

/**
 * Moves up to `count` of the messages that were ready when it began; returns how many. A message is acknowledged here
 * once it is confirmed there; the one that cannot be delivered goes back to its place.
 * @throws HttpError 400 when one reaches no queue, or is refused
 */
export async function moveMessages(
  call: Call,
  session: Session,
  name: string,
  target: MoveTarget,
  count: number,
): Promise<number> {
  const queue = session.openedQueue(name)
  const { codec } = call.broker
  let left = Math.min(count, queue.readyCount)
  let moved = 0
  for (; left > 0 && !queue.deleted; left--) {
    if (call.slices.over) await call.slices.next()
    const entry = await queue.getSoon(false)
    if (entry === undefined) break
    const { message } = entry
    const body = Buffer.from(message.body.subarray(message.bodyStart, message.bodyEnd))
    let arrived = false
    try {
      const copy = codec.compose(target.exchange, target.routingKey, codec.properties(message), body)
      const confirmation = new Confirmation()
      const reached = session.publish(copy, confirmation, 0)
      if (reached === 0) throw badRequest(`a message reached no queue and stays; ${moved} were moved`)
      await confirmation.of(reached, call.clock)
      arrived = true
    } finally {
      if (arrived) queue.acknowledge(entry)
      else queue.requeue(entry)
      if (!arrived) queue.takenBack()
    }
    moved++
  }
  if (moved > 0 && queue.durable) call.broker.durableChanges++
  return moved
}
