// Mistakes, as programs make them: what no broker takes, or what one may take for a mistake.
import { Tagged, type Table } from '../support/field-values.ts'
import type { FieldsInput, Properties } from '../support/codec.ts'
import type { Random } from '../support/random.ts'
import type { PublishFields } from '../support/raw-client.ts'
import { CHECKED_ARGUMENTS, ODD_VALUES } from './arguments.ts'
import { EXCHANGES, NEVER, QUEUES } from './names.ts'
import type { Place, Step } from './program.ts'

/** The client that makes mistakes for which it loses its connection. In which order channels go then is not told. */
const CLUMSY: Place = { client: 2, channel: 1 }

/** One mistake, made on a channel, or by the client that makes those that cost the connection. */
export function mistake(random: Random, at: Place, body: () => string, queues = QUEUES): Step {
  const queue = random.pick(queues)
  const exchange = random.pick(EXCHANGES)
  const call = (method: string, fields: FieldsInput = {}, place = at): Step => ({
    do: 'call',
    at: place,
    method,
    fields,
  })
  const declare = (args: Table, fields: FieldsInput = {}): Step =>
    call('queue.declare', { queue: NEVER, ...fields, arguments: args })
  const publish = (properties: Properties, fields: PublishFields = { exchange: 'amq.fanout' }): Step => {
    const place = fields.immediate === true ? CLUMSY : at
    return { do: 'publish', at: place, fields, bodies: [body()], properties }
  }
  const odd = random.pick(ODD_VALUES)
  const mistakes: readonly (() => Step)[] = [
    () => call('basic.get', { queue: NEVER }),
    () => call('basic.get', { queue: '' }),
    () => call('basic.consume', { queue: NEVER, 'consumer-tag': 'never' }),
    () => call('basic.consume', { queue, 'consumer-tag': 'odd', arguments: { 'x-priority': odd } }),
    () => call('queue.declare', { queue: 'amq.mine' }),
    () => call('queue.declare', { queue: '', passive: true }),
    () => call('queue.declare', { queue: 'amq.mine', passive: true }),
    () => call('queue.delete', { queue: '' }),
    () => call('queue.purge', { queue: NEVER }),
    () => call('queue.purge', { queue: '' }),
    () => call('queue.bind', { queue: NEVER, exchange }),
    () => call('queue.bind', { queue: '', exchange }),
    () => call('queue.bind', { queue, exchange: NEVER }),
    () => call('queue.bind', { queue: NEVER, exchange: NEVER }),
    () => call('queue.bind', { queue, exchange: '', 'routing-key': 'a' }),
    () => call('queue.bind', { queue, exchange: 'amq.match', arguments: { 'x-match': odd } }),
    () => call('queue.unbind', { queue: NEVER, exchange }),
    () => call('queue.unbind', { queue, exchange: NEVER }),
    () => call('queue.unbind', { queue, exchange: '' }),
    () => call('exchange.declare', { exchange: 'amq.mine', type: 'direct' }),
    () => call('exchange.declare', { exchange: 'amq.mine', type: 'direct', passive: true }),
    () => call('exchange.declare', { exchange: 'amq.direct', type: 'fanout', durable: true }),
    () => call('exchange.declare', { exchange: 'amq.direct', type: 'direct', durable: true }),
    () => call('exchange.declare', { exchange: 'amq.direct', type: 'direct' }),
    () => call('exchange.declare', { exchange: '', type: 'direct' }),
    () => call('exchange.declare', { exchange: '', passive: true }),
    () => call('exchange.declare', { exchange, type: 'direct', arguments: { 'alternate-exchange': odd } }),
    () => call('exchange.bind', { destination: NEVER, source: exchange }),
    () => call('exchange.bind', { destination: exchange, source: NEVER }),
    () => call('exchange.bind', { destination: '', source: exchange }),
    () => call('exchange.bind', { destination: exchange, source: '' }),
    () => call('exchange.unbind', { destination: NEVER, source: exchange }),
    () => call('exchange.delete', { exchange: 'amq.direct' }),
    () => call('exchange.delete', { exchange: '' }),
    () => call('exchange.delete', { exchange: NEVER }),
    () => call('basic.recover', { requeue: false }, CLUMSY),
    () => call('basic.qos', { 'prefetch-size': 1 }, CLUMSY),
    () => call('channel.flow', { active: false }, CLUMSY),
    () => call('channel.open', {}, CLUMSY),
    () => call('basic.consume', { queue, 'consumer-tag': 'twice' }, CLUMSY),
    () => call('basic.consume', { queue: 'amq.rabbitmq.reply-to' }),
    () => call('channel.open-ok', {}, CLUMSY),
    () => call('channel.flow-ok', { active: true }),
    () => call('queue.declare-ok', { queue }, CLUMSY),
    () => call('connection.open', {}, CLUMSY),
    () => call('connection.tune-ok', {}, CLUMSY),
    () => call('basic.ack', { 'delivery-tag': 77, multiple: true }),
    () => call('basic.nack', { 'delivery-tag': 77, requeue: true }),
    () => call('basic.reject', { 'delivery-tag': 0 }),
    () => call('basic.cancel', { 'consumer-tag': 'nobody' }),
    () => call('exchange.declare', { exchange: 'x'.repeat(128), type: 'direct', passive: true }),
    () => call('queue.declare', { queue: 'q'.repeat(255), passive: true }),
    () => declare({}, { passive: true }),
    ...Array.from({ length: 12 }, () => () => declare({ [random.pick(CHECKED_ARGUMENTS)]: odd })),
    () => declare({ 'x-dead-letter-exchange': 'a', 'x-dead-letter-routing-key': odd }),
    () => declare({ 'x-overflow': 'explode' }),
    () => declare({ 'x-queue-type': 'heap' }),
    () => declare({ 'x-queue-type': 'quorum' }),
    () => declare({ 'x-queue-type': 'quorum' }, { durable: true, exclusive: true }),
    () => declare({ 'x-queue-type': 'quorum' }, { durable: true, 'auto-delete': true }),
    () => declare({ 'x-queue-type': 'quorum' }, { queue: '', durable: true }),
    () => publish({ expiration: random.pick(['abc', '10ms', '-1', '', ' 5', '1.5', '+7', '0x10', '315360000001']) }),
    () => publish({ 'user-id': 'somebody' }),
    () => publish({ headers: { CC: odd } }),
    () => publish({ headers: { BCC: odd } }),
    () => publish({ headers: { CC: ['a', odd] } }),
    () => publish({ headers: { BCC: [odd] } }),
    () => publish({ headers: { 'x-death': odd } }, { exchange: '', 'routing-key': queue }),
    () => publish({ headers: { h: odd, t: new Tagged('T', 5n) } }, { exchange: '', 'routing-key': queue }),
    () => publish({ 'reply-to': 'amq.rabbitmq.reply-to' }),
    () => publish({}, { immediate: true }),
    () => publish({}, { exchange: NEVER }),
  ]
  return random.pick(mistakes)()
}
