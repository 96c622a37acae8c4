// Contents put together from headers and pieces of bodies.
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { ContentAssembly } from '../../src/amqp/content-assembly.ts'
import { AmqpError } from '../../src/amqp/errors.ts'
import { AllIncomplete, Incomplete } from '../../src/amqp/incomplete.ts'
import { Method } from '../../src/amqp/wire/generated.ts'
import { WireError } from '../../src/amqp/wire/wire-error.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import type { Message } from '../../src/core/message.ts'
import { encodeHeader, type Properties } from '../support/codec.ts'

const BYTES_MAX = 10_000_000

function incompleteOf(): Incomplete {
  const all = new AllIncomplete({ limits: { memoryBytes: 0 } }, new ManualClock())
  return new Incomplete(all, { hold: () => undefined, release: () => undefined })
}

/** A content of which the publish has come. */
function begun(bodyBytesMax = BYTES_MAX, incomplete = incompleteOf()): ContentAssembly {
  const content = new ContentAssembly(bodyBytesMax, incomplete)
  content.begin('exchange', 'key', true)
  return content
}

/** Gives bytes as a front end does: somewhere within a chunk. */
function give(content: ContentAssembly, part: 'header' | 'body', bytes: Uint8Array): Message | null {
  const chunk = Buffer.concat([Buffer.from('before'), bytes, Buffer.from('after')])
  return content[part](chunk, 6, 6 + bytes.length)
}

function header(content: ContentAssembly, bodyBytes: number | bigint, properties: Properties = {}): Message | null {
  return give(content, 'header', encodeHeader(bodyBytes, properties))
}

function bodyOf({ body, bodyStart, bodyEnd }: Message): Buffer {
  return body.subarray(bodyStart, bodyEnd)
}

function propertiesOf({ properties, propertiesStart, propertiesEnd }: Message): Buffer {
  return properties.subarray(propertiesStart, propertiesEnd)
}

/** The error that `act` throws. */
function failure(act: () => unknown): AmqpError {
  try {
    act()
  } catch (error) {
    if (error instanceof AmqpError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

const PROPERTIES: Properties = {
  'content-type': 'text/plain',
  headers: { a: 1 },
  'delivery-mode': 2,
  priority: 7,
  expiration: '60000',
  'user-id': 'guest',
}

describe('a content', () => {
  it('without a body is whole with its header', () => {
    const content = begun()
    expect(content.busy).toBe(true)
    const message = header(content, 0, PROPERTIES)!
    expect(content.busy).toBe(false)
    expect(message).toMatchObject({ exchange: 'exchange', routingKey: 'key', bodyBytes: 0, owned: false })
    expect(content.mandatory).toBe(true)
    expect(propertiesOf(message).equals(encodeHeader(0, PROPERTIES).subarray(12))).toBe(true)
  })

  it('with a body in one piece is a view into the input', () => {
    const content = begun()
    expect(header(content, 5, PROPERTIES)).toBeNull()
    const chunk = Buffer.from('..hello..')
    const message = content.body(chunk, 2, 7)!
    expect(content.busy).toBe(false)
    expect(message.body).toBe(chunk)
    expect(message.owned).toBe(false)
    expect(String(bodyOf(message))).toBe('hello')
    expect(propertiesOf(message).equals(encodeHeader(5, PROPERTIES).subarray(12))).toBe(true)
  })

  it('with a body in any pieces, empty ones among them, is what was sent, and owns its bytes', () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 50 }), { minLength: 2, maxLength: 20 })
    fc.assert(
      fc.property(pieces, (all) => {
        const body = Buffer.concat(all)
        fc.pre(all.every((piece) => piece.length < body.length))
        // Nothing may come behind the last byte.
        while (all.at(-1)!.length === 0) all.pop()
        const content = begun()
        header(content, body.length, PROPERTIES)
        const messages = all.map((piece) => give(content, 'body', piece))
        const message = messages.pop()!
        expect(messages.every((other) => other === null)).toBe(true)
        expect([message.owned, content.busy]).toEqual([true, false])
        expect(bodyOf(message).equals(body)).toBe(true)
        expect(propertiesOf(message).equals(encodeHeader(0, PROPERTIES).subarray(12))).toBe(true)
      }),
    )
  })

  it('with a large body in pieces is what was sent', () => {
    const body = Buffer.alloc(3_000_000)
    for (let i = 0; i < body.length; i++) body[i] = i * 7 + (i >> 8)
    const content = begun()
    header(content, body.length)
    let message: Message | null = null
    for (let at = 0; at < body.length; at += 131_064) message = give(content, 'body', body.subarray(at, at + 131_064))
    expect(bodyOf(message!).equals(body)).toBe(true)
  })

  it('takes memory for what has come, not for what was announced', () => {
    const allocate = vi.spyOn(Buffer, 'allocUnsafeSlow')
    try {
      const content = begun(500_000_000)
      header(content, 400_000_000)
      for (let i = 0; i < 100; i++) give(content, 'body', Buffer.alloc(10_000))
      expect(Math.max(...allocate.mock.calls.map(([bytes]) => bytes))).toBeLessThanOrEqual(2_000_000)
    } finally {
      allocate.mockRestore()
    }
  })

  it('has nothing of the one before it', () => {
    const content = begun()
    header(content, 4, PROPERTIES)
    give(content, 'body', Buffer.from('on'))
    give(content, 'body', Buffer.from('e!'))
    content.begin('', 'other', false)
    const message = header(content, 0)!
    expect(message).toMatchObject({
      exchange: '',
      routingKey: 'other',
      persistent: false,
      priority: -1,
      expirationMs: -1,
      headers: false,
    })
    expect([content.mandatory, content.fault, content.userId]).toEqual([false, null, null])
    expect(propertiesOf(message).length).toBe(2)
  })

  it('is counted for as long as a part of its body has come, and not all', () => {
    const incomplete = incompleteOf()
    const content = begun(BYTES_MAX, incomplete)
    header(content, 100)
    for (const [bytes, came] of [
      [0, 0],
      [30, 30],
      [0, 30],
      [69, 99],
    ] as const) {
      give(content, 'body', Buffer.alloc(bytes))
      expect([incomplete.bytes, incomplete.missing]).toEqual(came === 0 ? [0, 0] : [came, 100 - came])
    }
    give(content, 'body', Buffer.alloc(1))
    expect([incomplete.bytes, incomplete.missing]).toEqual([0, 0])
  })

  it('that is abandoned is forgotten', () => {
    const incomplete = incompleteOf()
    const content = begun(BYTES_MAX, incomplete)
    header(content, 100)
    give(content, 'body', Buffer.alloc(50))
    content.abandon()
    expect([incomplete.bytes, incomplete.missing]).toEqual([0, 0])
    expect(content.busy).toBe(false)
    content.begin('x', 'k', false)
    header(content, 4)
    expect(String(bodyOf(give(content, 'body', Buffer.from('body'))!))).toBe('body')
  })
})

describe('the facts of a message', () => {
  it('are read from its properties', () => {
    const content = begun()
    const message = header(content, 0, PROPERTIES)!
    expect(message).toMatchObject({ persistent: true, priority: 7, expirationMs: 60_000, headers: true })
    expect([content.fault, content.userId]).toEqual([null, 'guest'])
  })

  it('are the same when the body comes in pieces', () => {
    const content = begun()
    header(content, 4, PROPERTIES)
    give(content, 'body', Buffer.from('bo'))
    const message = give(content, 'body', Buffer.from('dy'))!
    expect(message).toMatchObject({ persistent: true, priority: 7, expirationMs: 60_000, headers: true })
    expect(content.userId).toBe('guest')
  })

  it.each([
    [{ 'delivery-mode': 1 }, { persistent: false }],
    [{ 'delivery-mode': 3 }, { persistent: false }],
    [{ priority: 255 }, { priority: 255 }],
    [{ headers: {} }, { headers: true }],
    [{ expiration: '0' }, { expirationMs: 0 }],
    [{ expiration: '+0015' }, { expirationMs: 15 }],
    [{ expiration: '315360000000' }, { expirationMs: 315_360_000_000 }],
  ])('of %j are %j', (properties, facts) => {
    expect(header(begun(), 0, properties)).toMatchObject(facts)
  })

  it.each([
    ['', 'no_integer'],
    ['abc', 'no_integer'],
    [' 1', 'no_integer'],
    ['10abc', '{leftover_string,"abc"}'],
    ['1.5', '{leftover_string,".5"}'],
    ['1 ', '{leftover_string," "}'],
    ['-1', '{value_negative,-1}'],
    ['315360000001', '{value_too_large,315360000001}'],
    ['99999999999999999999', '{value_too_large,99999999999999999999}'],
  ])('name what is wrong with the expiration %j, for others to refuse', (expiration, reason) => {
    const content = begun()
    header(content, 0, { expiration })
    expect(content.fault).toMatchObject({ scope: 'channel', replyCode: 406, method: Method.basicPublish })
    expect(content.fault!.message).toBe(`invalid expiration '${expiration}': ${reason}`)
  })
})

describe('a body', () => {
  it('is refused at its header when it is larger than configured', () => {
    expect(header(begun(100), 100)).toBeNull()
    const error = failure(() => header(begun(100), 101))
    expect(error).toMatchObject({ scope: 'channel', replyCode: 406, method: Method.basicPublish })
    expect(error.message).toBe('message size 101 is larger than configured max size 100')
  })

  it.each([536_870_913, 2n ** 63n, 2n ** 64n - 1n])('is refused with %s bytes, whatever is configured', (bytes) => {
    const error = failure(() => header(begun(Infinity), bytes))
    expect(error).toMatchObject({ scope: 'connection', replyCode: 501, method: Method.basicPublish })
    expect(error.message).toBe(`content body size ${bytes} exceeds maximum allowed size 536870912`)
  })

  it.each([
    ['in its first piece', ['12345']],
    ['in a later piece', ['123', '45']],
    ['after nothing', ['', '12345']],
  ])('may not be longer than announced: %s', (_case, pieces) => {
    const content = begun()
    header(content, 4)
    const error = failure(() => pieces.map((piece) => give(content, 'body', Buffer.from(piece))))
    expect(error).toMatchObject({ scope: 'connection', replyCode: 501, method: Method.basicPublish })
    expect(error.message).toBe('content body frame exceeds remaining content size')
  })
})

describe('content out of order', () => {
  const EXPECTED_HEADER = 'expected content header for class 60, got non content header frame instead'
  const EXPECTED_BODY = 'expected content body, got non content body frame instead'
  const EXPECTED_METHOD = 'expected method frame, got non method frame instead'

  it.each<[string, string, (content: ContentAssembly) => unknown]>([
    ['a body before its header', EXPECTED_HEADER, (content) => give(content, 'body', Buffer.from('b'))],
    ['a header in the place of the body', EXPECTED_BODY, (content) => [header(content, 5), header(content, 5)]],
    ['a header after the content', EXPECTED_METHOD, (content) => [header(content, 0), header(content, 0)]],
    [
      'a body after the content',
      EXPECTED_METHOD,
      (content) => [header(content, 0), give(content, 'body', Buffer.of())],
    ],
    [
      'a header with a weight',
      EXPECTED_HEADER,
      (content) => {
        const bytes = encodeHeader(0)
        bytes.writeUInt16BE(1, 2)
        return give(content, 'header', bytes)
      },
    ],
    [
      'the header of another class',
      'expected content header for class 60, got one for class 50 instead',
      (content) => give(content, 'header', encodeHeader(0, {}, 50)),
    ],
  ])('is refused: %s', (_case, sentence, act) => {
    const content = begun()
    const error = failure(() => act(content))
    expect(error).toMatchObject({ scope: 'connection', replyCode: 505 })
    expect(error.message).toBe(sentence)
  })

  it('names what a method came in the place of', () => {
    const content = begun()
    expect(content.interrupted().message).toBe(EXPECTED_HEADER)
    header(content, 5)
    expect(content.interrupted().message).toBe(EXPECTED_BODY)
  })

  it('is malformed when the properties are', () => {
    const bytes = encodeHeader(0, PROPERTIES)
    expect(() => give(begun(), 'header', bytes.subarray(0, -1))).toThrow(WireError)
  })
})
