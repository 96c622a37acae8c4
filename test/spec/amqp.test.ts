import { describe, expect, it } from 'vitest'
import { basicProperties, classes, replyCodes, type MethodDefinition } from '../../spec/amqp.ts'

function method(name: string): MethodDefinition {
  const [className, methodName] = name.split('.')
  const found = classes.find((each) => each.name === className)?.methods.find((each) => each.name === methodName)
  if (found === undefined) throw new Error(`no method ${name}`)
  return found
}

describe('the definition of AMQP 0-9-1', () => {
  it('has the classes of the protocol under their numbers', () => {
    expect(classes.map(({ name, id }) => `${name} ${id}`)).toEqual([
      'connection 10',
      'channel 20',
      'access 30',
      'exchange 40',
      'queue 50',
      'basic 60',
      'confirm 85',
      'tx 90',
    ])
  })

  it.each(classes)('gives every method of class $name a name and a number of its own', ({ methods }) => {
    expect(new Set(methods.map(({ name }) => name)).size).toBe(methods.length)
    expect(new Set(methods.map(({ id }) => id)).size).toBe(methods.length)
  })

  it.each(classes)('names answers of class $name that exist, and that the other side may send', ({ methods }) => {
    for (const { answers, direction } of methods) {
      for (const answer of answers) {
        const answered = methods.find((each) => each.name === answer)
        const expected = { client: 'server', server: 'client', both: 'both', internal: 'internal' }[direction]
        expect(answered?.direction).toBe(expected)
      }
    }
  })

  it.each(classes)('has no -ok in class $name that answers nothing', ({ methods }) => {
    const answers = methods.flatMap((each) => each.answers)
    const answering = methods.filter(({ name, direction }) => /-(ok|empty)$/.test(name) && direction !== 'internal')
    expect(answering.map(({ name }) => name).toSorted()).toEqual([...answers].toSorted())
  })

  it("has RabbitMQ's extensions", () => {
    expect(method('connection.blocked').id).toBe(60)
    expect(method('connection.unblocked').id).toBe(61)
    expect(method('connection.update-secret').answers).toEqual(['update-secret-ok'])
    expect(method('exchange.bind').id).toBe(30)
    expect(method('exchange.unbind').id).toBe(40)
    expect(method('basic.nack').id).toBe(120)
    expect(method('confirm.select').id).toBe(10)
  })

  it('knows the odd ones: exchange.unbind-ok is 51, and queue.unbind has no nowait', () => {
    expect(method('exchange.unbind-ok').id).toBe(51)
    expect(method('queue.unbind').fields.map(({ name }) => name)).not.toContain('nowait')
  })

  it('has content with the methods that carry messages, and with no other', () => {
    const carrying = classes.flatMap((of) => of.methods.filter((each) => each.content).map((each) => each.name))
    expect(carrying).toEqual(['publish', 'return', 'deliver', 'get-ok'])
  })

  it('has one flag for each property, from the highest bit down', () => {
    expect(basicProperties.map(({ flag }) => flag)).toEqual(basicProperties.map((_, index) => 0x8000 >> index))
    expect(basicProperties).toHaveLength(14)
  })

  it('says of each error what it ends', () => {
    const of = (wanted: string) => replyCodes.filter((each) => each.errorClass === wanted).map((each) => each.value)
    expect(of('none')).toEqual([200])
    expect(of('soft')).toEqual([311, 312, 313, 403, 404, 405, 406])
    expect(of('hard')).toEqual([320, 402, 501, 502, 503, 504, 505, 506, 530, 540, 541])
  })
})
