// What a session may do: rights, reserved names, exclusive queues, and what publishing remembers.
import { describe, expect, it } from 'vitest'
import type { Session } from '../../src/core/session.ts'
import { NO_ARGUMENTS } from '../../src/core/value.ts'
import { longstr, table } from '../support/core.ts'
import {
  bindingTerms,
  KeepingConsumer,
  publishedTo,
  queueDeclaration,
  refusal,
  TestCore,
  type Patterns,
} from '../support/sessions.ts'

function exchangeDeclaration(name: string, args = NO_ARGUMENTS) {
  return { name, type: 'fanout', durable: false, autoDelete: false, internal: false, arguments: args }
}

/** A right over a queue or an exchange. */
type Need = readonly [right: keyof Patterns, kind: 'queue' | 'exchange', name: string]

/** Patterns that match exactly the names of these needs. */
function patterns(needs: readonly Need[]): Patterns {
  const names = (right: string): string =>
    needs
      .filter(([each]) => each === right)
      .map(([, , name]) => `^${name}$`)
      .join('|')
  return { configure: names('configure'), write: names('write'), read: names('read') }
}

const alternate = table({ 'alternate-exchange': longstr('ae') })
const deadLetters = table({ 'x-dead-letter-exchange': longstr('dlx') })

const OPERATIONS: readonly [what: string, needs: readonly Need[], act: (session: Session) => unknown][] = [
  ['declaring an exchange', [['configure', 'exchange', 'new']], (s) => s.declareExchange(exchangeDeclaration('new'))],
  ['declaring one that is there', [['configure', 'exchange', 'x']], (s) => s.declareExchange(exchangeDeclaration('x'))],
  [
    'declaring one with an alternate',
    [
      ['configure', 'exchange', 'new'],
      ['read', 'exchange', 'new'],
      ['write', 'exchange', 'ae'],
    ],
    (s) => s.declareExchange(exchangeDeclaration('new', alternate)),
  ],
  ['deleting an exchange', [['configure', 'exchange', 'x']], (s) => s.deleteExchange('x', false)],
  ['deleting one that is absent', [['configure', 'exchange', 'new']], (s) => s.deleteExchange('new', false)],
  ['declaring a queue', [['configure', 'queue', 'new']], (s) => s.declareQueue(queueDeclaration('new'))],
  ['declaring one that is there', [['configure', 'queue', 'q']], (s) => s.declareQueue(queueDeclaration('q'))],
  [
    'declaring one with a dead letter exchange',
    [
      ['configure', 'queue', 'new'],
      ['read', 'queue', 'new'],
      ['write', 'exchange', 'dlx'],
    ],
    (s) => s.declareQueue(queueDeclaration('new', { arguments: deadLetters })),
  ],
  ['deleting a queue', [['configure', 'queue', 'q']], (s) => s.deleteQueue('q', false, false)],
  ['deleting one that is absent', [['configure', 'queue', 'new']], (s) => s.deleteQueue('new', false, false)],
  ['purging', [['read', 'queue', 'q']], (s) => s.purgeQueue('q')],
  ['getting and consuming', [['read', 'queue', 'q']], (s) => s.readableQueue('q')],
  [
    'binding a queue',
    [
      ['write', 'queue', 'q'],
      ['read', 'exchange', 'x'],
    ],
    (s) => s.bind(bindingTerms('x', 'q')),
  ],
  [
    'unbinding a queue',
    [
      ['write', 'queue', 'q'],
      ['read', 'exchange', 'x'],
    ],
    (s) => s.unbind(bindingTerms('x', 'q')),
  ],
  [
    'binding an exchange',
    [
      ['write', 'exchange', 'y'],
      ['read', 'exchange', 'x'],
    ],
    (s) => s.bind(bindingTerms('x', 'y', '', 'exchange')),
  ],
  [
    'unbinding an exchange',
    [
      ['write', 'exchange', 'y'],
      ['read', 'exchange', 'x'],
    ],
    (s) => s.unbind(bindingTerms('x', 'y', '', 'exchange')),
  ],
  ['publishing', [['write', 'exchange', 'x']], (s) => s.publish(publishedTo('x', 'q'), null, 0)],
  ['publishing to a queue', [['write', 'exchange', 'amq.default']], (s) => s.publish(publishedTo('', 'q'), null, 0)],
]

/** A core with a queue `q` and the exchanges `x` and `y`. */
function furnished(): TestCore {
  const core = new TestCore()
  const owner = core.session('owner')
  owner.declareQueue(queueDeclaration('q'))
  for (const name of ['x', 'y']) owner.declareExchange(exchangeDeclaration(name))
  return core
}

describe('rights', () => {
  it.each(OPERATIONS)('that suffice for %s are these and no others', (_what, needs, act) => {
    expect(refusal(() => act(furnished().session('tester', patterns(needs))))).toBe('')
  })

  it.each(OPERATIONS.flatMap(([what, needs, act]) => needs.map((need) => [what, need, needs, act] as const)))(
    'are all needed: %s without %j',
    (_what, missing, needs, act) => {
      const [right, kind, name] = missing
      const session = furnished().session('tester', patterns(needs.filter((need) => need !== missing)))
      const sentence = `${right} access to ${kind} '${name}' in vhost '/' refused for user 'tester'`
      expect(refusal(() => act(session))).toBe(`access-refused: ${sentence}`)
    },
  )

  it.each(['configure', 'write', 'read'] as const)('to %s are enough to ask whether something is there', (right) => {
    const session = furnished().session('tester', patterns([[right, 'queue', 'q|x']]))
    expect(refusal(() => session.checkQueue('q'))).toBe('')
    expect(refusal(() => session.checkExchange('x'))).toBe('')
  })

  it('of no kind are not enough to ask that', () => {
    const session = furnished().session('tester', patterns([]))
    const refused = (kind: string, name: string): string => {
      return `access-refused: configure access to ${kind} '${name}' in vhost '/' refused for user 'tester'`
    }
    expect(refusal(() => session.checkQueue('q'))).toBe(refused('queue', 'q'))
    expect(refusal(() => session.checkQueue('absent'))).toBe(refused('queue', 'absent'))
    expect(refusal(() => session.checkExchange('x'))).toBe(refused('exchange', 'x'))
  })

  it('to the name that the broker chose for a queue are needed, too', () => {
    const session = furnished().session('tester', { configure: '^mine', write: '', read: '' })
    expect(refusal(() => session.declareQueue(queueDeclaration('')))).toMatch(
      /^access-refused: configure access to queue 'amq\.gen-[\w-]{22}' in vhost/,
    )
  })

  it('that are taken away, or given, count for the next publish', () => {
    const core = furnished()
    const session = core.session()
    session.bind(bindingTerms('x', 'q'))
    expect(session.publish(publishedTo('x', 'k'), null, 0)).toBe(1)
    core.permit({ configure: '', write: '', read: '' })
    expect(refusal(() => session.publish(publishedTo('x', 'k'), null, 0))).toMatch(/^access-refused: write access/)
    core.permit({ configure: '', write: '^x$', read: '' })
    expect(session.publish(publishedTo('x', 'k'), null, 0)).toBe(1)
  })
})

describe('what is refused whatever the rights', () => {
  it.each<[string, string, (session: Session) => unknown]>([
    [
      'a reserved queue name',
      "access-refused: queue name 'amq.mine' contains reserved prefix 'amq.*'",
      (s) => s.declareQueue(queueDeclaration('amq.mine')),
    ],
    [
      'a reserved exchange name',
      "access-refused: exchange name 'amq.mine' contains reserved prefix 'amq.*'",
      (s) => s.declareExchange(exchangeDeclaration('amq.mine')),
    ],
    [
      'to delete a predeclared exchange',
      "access-refused: deletion of system exchange 'amq.topic' in vhost '/' not allowed",
      (s) => s.deleteExchange('amq.topic', false),
    ],
    [
      'to publish to an internal exchange',
      "access-refused: cannot publish to internal exchange 'amq.rabbitmq.trace' in vhost '/'",
      (s) => s.publish(publishedTo('amq.rabbitmq.trace', 'k'), null, 0),
    ],
    [
      'to publish to none',
      "not-found: no exchange 'none' in vhost '/'",
      (s) => s.publish(publishedTo('none', ''), null, 0),
    ],
    ['to read none', "not-found: no queue 'none' in vhost '/'", (s) => s.readableQueue('none')],
    ['to bind none', "not-found: no queue 'none' in vhost '/'", (s) => s.bind(bindingTerms('x', 'none'))],
    ['to bind to none', "not-found: no exchange 'none' in vhost '/'", (s) => s.bind(bindingTerms('none', 'none'))],
  ])('%s', (_what, expected, act) => {
    expect(refusal(() => act(furnished().session()))).toBe(expected)
  })

  it.each<[string, (session: Session) => unknown]>([
    ['declare', (s) => s.declareExchange(exchangeDeclaration(''))],
    ['ask for', (s) => s.checkExchange('')],
    ['delete', (s) => s.deleteExchange('', false)],
    ['bind a queue to', (s) => s.bind(bindingTerms('', 'q'))],
    ['unbind a queue from', (s) => s.unbind(bindingTerms('', 'q'))],
    ['bind', (s) => s.bind(bindingTerms('x', '', '', 'exchange'))],
    ['unbind', (s) => s.unbind(bindingTerms('x', '', '', 'exchange'))],
  ])('to %s the default exchange', (_what, act) => {
    const refused = 'access-refused: operation not permitted on the default exchange'
    expect(refusal(() => act(furnished().session()))).toBe(refused)
  })
})

describe('an exclusive queue', () => {
  const LOCKED =
    "resource-locked: cannot obtain exclusive access to locked queue 'mine' in vhost '/'. It could be originally " +
    'declared on another connection or the exclusive property value does not match that of the original declaration.'

  function owned(): { core: TestCore; owner: Session; other: Session } {
    const core = furnished()
    const owner = core.session()
    owner.declareQueue(queueDeclaration('mine', { exclusive: true, durable: true }))
    owner.bind(bindingTerms('x', 'mine'))
    return { core, owner, other: core.session() }
  }

  it.each<[string, (session: Session) => unknown]>([
    ['declare', (s) => s.declareQueue(queueDeclaration('mine', { exclusive: true }))],
    ['ask for', (s) => s.checkQueue('mine')],
    ['delete', (s) => s.deleteQueue('mine', false, false)],
    ['purge', (s) => s.purgeQueue('mine')],
    ['bind', (s) => s.bind(bindingTerms('x', 'mine'))],
    ['unbind', (s) => s.unbind(bindingTerms('x', 'mine'))],
    ['get or consume', (s) => s.readableQueue('mine')],
  ])('is nothing that another session of the same user may %s', (_what, act) => {
    const { owner, other } = owned()
    expect(refusal(() => act(other))).toBe(LOCKED)
    expect(refusal(() => act(owner))).toBe('')
  })

  it('may be unbound by anybody from what it is not bound to', () => {
    const { other } = owned()
    expect(refusal(() => other.unbind(bindingTerms('amq.direct', 'mine')))).toBe('')
  })

  it('is neither declared as a shared one, nor a shared one as exclusive', () => {
    const { owner } = owned()
    expect(refusal(() => owner.declareQueue(queueDeclaration('mine')))).toBe(LOCKED)
    const shared = refusal(() => owner.declareQueue(queueDeclaration('q', { exclusive: true })))
    expect(shared).toBe(LOCKED.replace('mine', 'q'))
  })

  it('is declared again by its owner, durable or not', () => {
    const { owner } = owned()
    for (const durable of [true, false]) {
      const again = queueDeclaration('mine', { exclusive: true, durable })
      expect(refusal(() => owner.declareQueue(again))).toBe('')
    }
    expect(owner.checkQueue('mine').durable).toBe(false)
  })

  it('may be published to by everybody', () => {
    const { other } = owned()
    expect(other.publish(publishedTo('', 'mine'), null, 0)).toBe(1)
  })

  it('goes with its session, and its name is free', () => {
    const { core, owner, other } = owned()
    owner.declareQueue(queueDeclaration('second', { exclusive: true }))
    expect(core.broker.sessions.has(owner)).toBe(true)
    owner.close()
    owner.close()
    expect(core.broker.sessions.has(owner)).toBe(false)
    for (const name of ['mine', 'second']) expect(other.vhost.queues.has(name)).toBe(false)
    expect(refusal(() => other.declareQueue(queueDeclaration('mine')))).toBe('')
  })

  it('that was deleted and declared by others is theirs when the session ends', () => {
    const { owner, other } = owned()
    owner.deleteQueue('mine', false, false)
    other.declareQueue(queueDeclaration('mine'))
    owner.close()
    expect(other.vhost.queues.has('mine')).toBe(true)
  })
})

describe('a consumer', () => {
  const IN_USE = "access-refused: queue 'q' in vhost '/' in exclusive use"

  it('that is exclusive has the queue to itself, until it ends', () => {
    const session = furnished().session()
    const queue = session.readableQueue('q')
    const subscription = session.consume(queue, new KeepingConsumer(), true, NO_ARGUMENTS)
    for (const exclusive of [true, false]) {
      expect(refusal(() => session.consume(queue, new KeepingConsumer(), exclusive, NO_ARGUMENTS))).toBe(IN_USE)
    }
    queue.unsubscribe(subscription)
    session.consume(queue, new KeepingConsumer(), false, NO_ARGUMENTS)
    expect(refusal(() => session.consume(queue, new KeepingConsumer(), true, NO_ARGUMENTS))).toBe(IN_USE)
  })

  it('holds off a deletion of what is unused, and messages one of what is empty', () => {
    const session = furnished().session()
    const queue = session.readableQueue('q')
    const subscription = session.consume(queue, new KeepingConsumer(0), false, NO_ARGUMENTS)
    session.publish(publishedTo('', 'q'), null, 0)
    const notEmpty = "precondition-failed: queue 'q' in vhost '/' not empty"
    const inUse = "precondition-failed: queue 'q' in vhost '/' in use"
    expect(refusal(() => session.deleteQueue('q', true, true))).toBe(notEmpty)
    expect(refusal(() => session.deleteQueue('q', true, false))).toBe(inUse)
    expect(session.purgeQueue('q')).toBe(1)
    expect(refusal(() => session.deleteQueue('q', true, true))).toBe(inUse)
    queue.unsubscribe(subscription)
    expect(session.deleteQueue('q', true, true)).toBe(0)
  })
})

describe('names', () => {
  it('lose their line ends', () => {
    const session = furnished().session()
    expect(session.declareQueue(queueDeclaration('a\r\nb')).name).toBe('ab')
    expect(session.checkQueue('\nab').name).toBe('ab')
    session.declareExchange(exchangeDeclaration('e\n'))
    session.bind(bindingTerms('\re', 'ab\n'))
    expect(session.publish(publishedTo('e', ''), null, 0)).toBe(1)
    session.unbind(bindingTerms('e\n', 'a\nb'))
    expect(session.publish(publishedTo('e', ''), null, 0)).toBe(0)
    session.deleteExchange('e\r\n', false)
    session.deleteQueue('a\nb', false, false)
    expect([session.vhost.exchanges.has('e'), session.vhost.queues.has('ab')]).toEqual([false, false])
  })

  it('that the broker chooses are all different', () => {
    const session = furnished().session()
    const names = Array.from({ length: 50 }, () => session.declareQueue(queueDeclaration('')).name)
    expect(new Set(names).size).toBe(50)
    expect(names.every((name) => /^amq\.gen-[\w-]{22}$/.test(name))).toBe(true)
  })
})

describe('publishing', () => {
  it('notices every change of what leads where', () => {
    const core = furnished()
    const [session, other] = [core.session(), core.session('other')]
    const reached = (): number => session.publish(publishedTo('x', 'k'), null, 0)
    expect(reached()).toBe(0)
    other.bind(bindingTerms('x', 'q'))
    expect(reached()).toBe(1)
    other.bind(bindingTerms('x', 'y', '', 'exchange'))
    other.declareQueue(queueDeclaration('q2', { autoDelete: true }))
    expect(reached()).toBe(1)
    other.bind(bindingTerms('y', 'q2'))
    expect(reached()).toBe(2)
    const queue = other.readableQueue('q2')
    queue.unsubscribe(other.consume(queue, new KeepingConsumer(), false, NO_ARGUMENTS))
    expect(reached()).toBe(1)
    other.unbind(bindingTerms('x', 'q'))
    expect(reached()).toBe(0)
    other.deleteExchange('x', false)
    expect(refusal(reached)).toBe("not-found: no exchange 'x' in vhost '/'")
    other.declareExchange({ ...exchangeDeclaration('x'), internal: true })
    expect(refusal(reached)).toMatch(/^access-refused: cannot publish to internal exchange 'x'/)
  })

  it('goes on as before after a publish that was refused', () => {
    const session = furnished().session()
    expect(session.publish(publishedTo('', 'q'), null, 0)).toBe(1)
    expect(refusal(() => session.publish(publishedTo('none', 'q'), null, 0))).not.toBe('')
    expect(session.publish(publishedTo('', 'q'), null, 0)).toBe(1)
    expect(session.publish(publishedTo('', 'none'), null, 0)).toBe(0)
    expect(session.readableQueue('q').readyCount).toBe(2)
  })

  it('to queues by name finds each by its own', () => {
    const session = furnished().session()
    for (const name of ['one', 'two']) session.declareQueue(queueDeclaration(name))
    for (const name of ['one', 'two', 'one', 'none', 'two', 'two']) session.publish(publishedTo('', name), null, 0)
    expect(['one', 'two'].map((name) => session.readableQueue(name).readyCount)).toEqual([2, 3])
  })
})
