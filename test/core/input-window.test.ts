// Messages are views into the input for as long as that is cheap, and copies when they stay.
import { describe, expect, it } from 'vitest'
import { InputWindow } from '../../src/core/input-window.ts'
import { VIEW_INPUT_BYTES } from '../../src/core/limits.ts'
import type { Message } from '../../src/core/message.ts'
import { Entry, EntryState } from '../../src/core/queue/entry.ts'
import { NO_ARGUMENTS } from '../../src/core/value.ts'
import { queueNamed } from '../support/core.ts'
import { KeepingConsumer, publishedTo, queueDeclaration, TestCore } from '../support/sessions.ts'

const queue = queueNamed('q')

function entryOf(message = publishedTo('', 'q')): Entry {
  return new Entry(queue, message, 0)
}

/** As much input as a window waits for, in chunks of 64 KiB. */
function passInput(window: InputWindow, bytes = VIEW_INPUT_BYTES): void {
  for (let passed = 0; passed < bytes; passed += 65_536) window.received(65_536)
}

function bodyOf({ body, bodyStart, bodyEnd }: Message): string {
  return body.toString('latin1', bodyStart, bodyEnd)
}

describe('the window of input', () => {
  it('leaves a message a view while little input has come', () => {
    const window = new InputWindow()
    const entry = entryOf()
    const chunk = entry.message.body
    window.watch(entry)
    passInput(window, VIEW_INPUT_BYTES / 2)
    expect(entry.message.owned).toBe(false)
    expect(entry.message.body).toBe(chunk)
  })

  it('has a message that stays copied, so that it no longer keeps its chunk', () => {
    const window = new InputWindow()
    const entry = entryOf()
    const { buffer } = entry.message.body
    window.watch(entry)
    passInput(window)
    expect(entry.message.owned).toBe(true)
    expect([entry.message.body.buffer === buffer, entry.message.properties.buffer === buffer]).toEqual([false, false])
    expect(bodyOf(entry.message)).toBe('body')
  })

  it('has it copied after about as much input as it waits for, however that is cut', () => {
    for (const chunk of [1, 1000, 65_536, VIEW_INPUT_BYTES, VIEW_INPUT_BYTES * 3]) {
      const window = new InputWindow()
      window.received(chunk === 1 ? 1000 : chunk)
      const entry = entryOf()
      window.watch(entry)
      let received = 0
      for (; !entry.message.owned; received += Math.max(chunk, 1000)) window.received(Math.max(chunk, 1000))
      expect(received).toBeGreaterThanOrEqual(Math.min(VIEW_INPUT_BYTES * 0.75, chunk))
      expect(received).toBeLessThanOrEqual(Math.max(VIEW_INPUT_BYTES * 1.01, chunk * 4))
    }
  })

  it('copies nothing that was settled meanwhile', () => {
    const window = new InputWindow()
    const entry = entryOf()
    window.watch(entry)
    entry.state = EntryState.settled
    passInput(window)
    expect(entry.message.owned).toBe(false)
  })

  it('lets go of what is settled long before it is old', () => {
    const window = new InputWindow()
    const entry = entryOf()
    window.watch(entry)
    entry.state = EntryState.settled
    const others = Array.from({ length: 1000 }, () => entryOf())
    for (const other of others) {
      window.watch(other)
      other.state = EntryState.settled
    }
    // It can tell nobody what it holds: what it has let go of it does not copy, whatever becomes of it.
    entry.state = EntryState.ready
    passInput(window)
    expect(entry.message.owned).toBe(false)
  })

  it('keeps what waits among much that is settled, and among much that waits', () => {
    for (const every of [1, 2, 10, 300]) {
      const window = new InputWindow()
      const entries = Array.from({ length: 3000 }, () => entryOf())
      entries.forEach((entry, i) => {
        window.watch(entry)
        if (i % every !== 0) entry.state = EntryState.settled
      })
      passInput(window)
      expect(entries.map(({ message }) => message.owned)).toEqual(entries.map((_, i) => i % every === 0))
    }
  })

  it('copies a message of several queues once', () => {
    const window = new InputWindow()
    const message = publishedTo('x', 'k')
    const entries = [entryOf(message), entryOf(message)]
    for (const entry of entries) window.watch(entry)
    passInput(window)
    const { body } = message
    passInput(window)
    expect([message.owned, message.body === body]).toEqual([true, true])
  })

  it('forgets what it has copied', () => {
    const window = new InputWindow()
    const entry = entryOf()
    window.watch(entry)
    passInput(window)
    entry.message.owned = false
    passInput(window)
    expect(entry.message.owned).toBe(false)
  })
})

describe('a message that stays', () => {
  it.each([
    ['in a queue', 0],
    ['with a consumer that does not acknowledge it', 1],
  ])('%s no longer keeps the chunk that it came in', (_where, credit) => {
    const core = new TestCore()
    const session = core.session()
    const consumed = session.declareQueue(queueDeclaration('q'))
    session.consume(consumed, new KeepingConsumer(credit), false, NO_ARGUMENTS)
    const message = publishedTo('', 'q')
    session.publish(message, null, 0)
    expect(consumed.unackedCount).toBe(credit)
    expect(message.owned).toBe(false)
    passInput(core.broker.window)
    expect(message.owned).toBe(true)
    expect(bodyOf(message)).toBe('body')
  })

  it('that was delivered and needs no acknowledgement is never copied', () => {
    const core = new TestCore()
    const session = core.session()
    const consumed = session.declareQueue(queueDeclaration('q'))
    session.consume(consumed, new KeepingConsumer(1, true), false, NO_ARGUMENTS)
    const message = publishedTo('', 'q')
    session.publish(message, null, 0)
    passInput(core.broker.window)
    expect(message.owned).toBe(false)
  })
})
