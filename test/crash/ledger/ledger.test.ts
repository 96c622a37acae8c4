// The ledger finds what is wrong. A test that never fails proves nothing.
import { beforeEach, describe, expect, it } from 'vitest'
import { Ledger, OrderCheck, type Copy, type Fault, type Holder, type Publish } from './ledger.ts'
import type { Delivery } from './load-client.ts'

const somebody: Holder = { name: 'somebody' }
const other: Holder = { name: 'other' }

let ledger: Ledger
let publisher: number

beforeEach(() => {
  ledger = new Ledger()
  publisher = ledger.newPublisher()
})

function publish(queues: readonly string[] = ['q'], confirmed = true): Publish {
  const facts = { publisher, bodyBytes: 5, crc: 77, bodyCrc: 7, exchange: 'x', routingKey: 'k', lane: 0, notBefore: 0 }
  const made = ledger.published(facts, queues)
  if (confirmed) ledger.confirmed(made)
  return made
}

interface Words extends Partial<Delivery> {
  readonly queue?: string
  readonly holder?: Holder
  readonly order?: OrderCheck
}

function deliver({ id }: Publish, words: Words = {}): Copy | null {
  const { queue = 'q', holder = somebody, order = new OrderCheck(), ...rest } = words
  const delivery = {
    tag: 1,
    redelivered: false,
    exchange: 'x',
    routingKey: 'k',
    bodyBytes: 5,
    crc: 77,
    bodyCrc: 7,
    ...rest,
  }
  return ledger.delivered(ledger.queue(queue), { messageId: id, ...delivery }, holder, order)
}

/** Delivers, and acknowledges for certain. */
function consume(message: Publish): void {
  const copy = deliver(message)!
  ledger.acknowledging(copy)
  ledger.acknowledged(copy)
}

/** Ends the audit of a queue in which these were found. */
function audit(found: readonly (Copy | null)[] = [], queue = 'q'): void {
  ledger.audited(ledger.queue(queue), new Set(found.filter((copy) => copy !== null)))
}

function expectFaults(...faults: Fault[]): void {
  expect(ledger.faults.map((words) => words.split(':')[0])).toEqual(faults)
}

describe('after a crash', () => {
  it('misses what was confirmed and not acknowledged', () => {
    publish()
    ledger.crashed()
    audit()
    expectFaults('lost')
    expect(ledger.tally.faults.lost).toBe(1)
  })

  it('does not miss what came, what was acknowledged, or what was never confirmed', () => {
    const [waiting, done] = [publish(), publish()]
    publish(['q'], false)
    consume(done)
    ledger.crashed()
    audit([deliver(waiting)])
    expectFaults()
    expect(ledger.tally).toMatchObject({ unconfirmedGone: 1, acknowledged: 1, compared: 2 })
  })

  it('lets come back what was acknowledged without proof, and lets it be gone', () => {
    const [back, gone] = [publish(), publish()]
    ledger.acknowledging(deliver(back)!)
    ledger.acknowledging(deliver(gone)!)
    ledger.crashed()
    audit([deliver(back)])
    expectFaults()
    expect(ledger.tally).toMatchObject({ uncertainBack: 1, uncertainGone: 1 })
  })

  it('does not let come back what was gone, or what was acknowledged for certain', () => {
    const [done, gone] = [publish(), publish(['q'], false)]
    consume(done)
    ledger.crashed()
    audit()
    deliver(done)
    deliver(gone)
    expectFaults('returned', 'returned')
  })

  it('misses later what it saw once, although it was not confirmed, or its acknowledgement was not proven', () => {
    const [unconfirmed, acknowledged] = [publish(['q'], false), publish()]
    ledger.acknowledging(deliver(acknowledged)!)
    ledger.crashed()
    audit([deliver(unconfirmed), deliver(acknowledged)])
    ledger.crashed()
    audit()
    expectFaults('lost', 'lost')
  })

  it('wants a redelivered flag where the delivery was proven, and only there', () => {
    const [proven, unproven] = [publish(), publish()]
    deliver(proven)!.deliveryProven = true
    deliver(unproven)
    ledger.crashed()
    deliver(unproven)
    expectFaults()
    deliver(proven)
    expectFaults('flag')
  })

  it('wants an unconfirmed publish in all its queues or in none', () => {
    const [none, one] = [publish(['a', 'b'], false), publish(['a', 'b'], false)]
    ledger.crashed()
    audit([deliver(one, { queue: 'a' })], 'a')
    audit([], 'b')
    expectFaults('torn')
    expect(ledger.faults[0]).toContain(`${one.id} in b`)
    expect(none.fate.survived).toBe(false)
  })
})

describe('while the broker runs', () => {
  it.each<[string, Partial<Delivery>, Fault]>([
    ['other bytes', { crc: 78 }, 'corrupt'],
    ['another length', { bodyBytes: 4 }, 'corrupt'],
    ['another exchange', { exchange: 'y' }, 'misrouted'],
    ['another key', { routingKey: 'l' }, 'misrouted'],
    ['an id that was never published', { messageId: '0.99' }, 'returned'],
  ])('notices %s', (_what, words, fault) => {
    deliver(publish(), words)
    expectFaults(fault)
  })

  it('notices a message in a queue that it was not published to', () => {
    deliver(publish(), { queue: 'r' })
    expectFaults('returned')
  })

  it('notices a message that is with two consumers at once, and one that comes back behind its acknowledgement', () => {
    const [twice, acknowledged] = [publish(), publish()]
    deliver(twice)
    deliver(twice, { redelivered: true, holder: other })
    expectFaults('twice')
    ledger.acknowledging(deliver(acknowledged)!)
    deliver(acknowledged, { redelivered: true })
    expectFaults('twice', 'returned')
  })

  it('takes a requeued message for what it is, and wants it marked', () => {
    const requeued = publish()
    ledger.released(deliver(requeued)!)
    ledger.released(deliver(requeued, { redelivered: true, holder: other })!)
    expectFaults()
    deliver(requeued)
    expectFaults('flag')
  })

  it('notices messages of a publisher that change places, unless they come again', () => {
    const order = new OrderCheck()
    const [first, second, third] = [publish(), publish(), publish()]
    ledger.released(deliver(first, { order })!)
    deliver(third, { order })
    deliver(first, { order, redelivered: true })
    expectFaults()
    deliver(second, { order })
    expectFaults('order')
  })
})

describe('between queues', () => {
  beforeEach(() => {
    ledger.join({ queues: ['q', 'dead'], rewrites: true })
    ledger.join({ queues: ['leaky', 'spilt'], leaks: true, rewrites: true })
  })

  /** Delivers from the second queue of a family. */
  function deliverFrom(place: string, message: Publish): Copy | null {
    const copies = ledger.queue(place)
    const [tag, redelivered, routingKey] = [1, false, place]
    const delivery = { tag, redelivered, exchange: '', routingKey, bodyBytes: 5, crc: 0, bodyCrc: 7 }
    return ledger.delivered(copies, { messageId: message.id, ...delivery }, somebody, new OrderCheck(), false, place)
  }

  it('misses what is in neither of them, and finds what is in both', () => {
    const [lost, twice] = [publish(['leaky']), publish(['leaky'])]
    ledger.crashed()
    const copy = deliver(twice, { queue: 'leaky' })
    deliverFrom('spilt', twice)
    expectFaults('twice')
    audit([copy], 'leaky')
    expectFaults('twice', 'lost')
    expect(ledger.faults[1]).toContain(lost.id)
  })

  it('lets a message go where it leads by itself, and elsewhere only when it was rejected', () => {
    const [leaked, stolen, rejected] = [publish(['leaky']), publish(), publish()]
    deliverFrom('spilt', leaked)
    ledger.rejecting(deliver(rejected)!, 'dead')
    deliverFrom('dead', rejected)
    expectFaults()
    deliverFrom('dead', stolen)
    expectFaults('misplaced')
  })

  it('lets a rejected message come back after a crash, unless it was proven to have gone', () => {
    const [unproven, proven] = [publish(), publish()]
    for (const message of [unproven, proven]) ledger.rejecting(deliver(message)!, 'dead')
    const [copy] = proven.copies
    copy!.settled(copy!.moves)
    ledger.crashed()
    deliver(unproven)
    expectFaults()
    deliver(proven)
    expectFaults('misplaced')
  })
})

describe('when what comes back waits', () => {
  beforeEach(() => ledger.join({ queues: ['q'], retryMs: 1e6 }))

  it('notices a message that comes back too early', () => {
    const early = publish()
    ledger.released(deliver(early)!)
    deliver(early, { redelivered: true })
    expectFaults('early')
    expect([...ledger.suspects]).toEqual([early.id])
  })

  it('lets one come at once after a crash, unless it is proven that the broker knew until when it had to wait', () => {
    const [unproven, proven] = [publish(), publish()]
    for (const message of [unproven, proven]) ledger.released(deliver(message)!)
    const [copy] = proven.copies
    copy!.waits(copy!.notBefore)
    ledger.crashed()
    deliver(unproven)
    expectFaults()
    deliver(proven, { redelivered: true })
    expectFaults('early')
  })
})

describe('beside that', () => {
  it('notices a message that was refused or rolled back', () => {
    const refused = publish(['q'], false)
    ledger.withdrawn(refused)
    deliver(refused)
    expectFaults('returned')
  })

  it('notices a message that comes before its time', () => {
    const facts = { publisher, bodyBytes: 5, crc: 77, bodyCrc: 7, exchange: 'x', routingKey: 'k', lane: 0 }
    deliver(ledger.published({ ...facts, notBefore: Date.now() + 1e6 }, ['q']))
    expectFaults('early')
  })

  it('notices half a transaction: a message of it is there, and what it acknowledged too', () => {
    const taken = publish()
    const facts = {
      publisher,
      bodyBytes: 5,
      crc: 77,
      bodyCrc: 7,
      exchange: 'x',
      routingKey: 'k',
      lane: 0,
      notBefore: 0,
    }
    const fate = { survived: undefined }
    const given = ledger.published(facts, ['r'], fate)
    ledger.acknowledging(deliver(taken)!, fate)
    ledger.crashed()
    deliver(given, { queue: 'r' })
    expectFaults()
    deliver(taken)
    expectFaults('torn')
  })
})
