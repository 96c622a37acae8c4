// AMQP 0-9-1 with RabbitMQ's extensions, as data: what the generator, and nothing else, needs to know of the protocol.

/** Wire types of method arguments (AMQP 0-9-1 §4.2.5). `bytes` is a longstr whose content is not text. */
export type FieldKind = 'bit' | 'octet' | 'short' | 'long' | 'longlong' | 'shortstr' | 'longstr' | 'bytes' | 'table'

/** Wire types of content properties. */
export type PropertyKind = 'octet' | 'shortstr' | 'table' | 'timestamp'

/** Who may send a method. `internal` ones have an id and a name, but are not part of the protocol between peers. */
export type Direction = 'client' | 'server' | 'both' | 'internal'

export interface FieldDefinition {
  readonly name: string
  readonly kind: FieldKind
  /** Written as zero or as the empty string, and ignored on receipt. */
  readonly reserved: boolean
}

export interface MethodDefinition {
  readonly name: string
  readonly id: number
  readonly direction: Direction
  readonly fields: readonly FieldDefinition[]
  /** The methods that answer this one; a method that has any is synchronous. */
  readonly answers: readonly string[]
  /** Whether a content header and a body follow. */
  readonly content: boolean
  /** Sent for every message: decoded before the others. */
  readonly frequent: boolean
}

export interface ClassDefinition {
  readonly name: string
  readonly id: number
  readonly methods: readonly MethodDefinition[]
}

/** What an error ends: the channel (soft), the connection (hard), or nothing, for it is none. */
export type ErrorClass = 'soft' | 'hard' | 'none'

export interface ReplyCodeDefinition {
  readonly name: string
  readonly value: number
  readonly errorClass: ErrorClass
}

export interface PropertyDefinition {
  readonly name: string
  readonly flag: number
  readonly kind: PropertyKind
}

/** Numbers of the framing layer (§4.2.3). */
export const frameConstants: readonly { readonly name: string; readonly value: number }[] = [
  { name: 'frame-method', value: 1 },
  { name: 'frame-header', value: 2 },
  { name: 'frame-body', value: 3 },
  { name: 'frame-heartbeat', value: 8 },
  { name: 'frame-min-size', value: 4096 },
  { name: 'frame-end', value: 206 },
]

export const replyCodes: readonly ReplyCodeDefinition[] = [
  { name: 'reply-success', value: 200, errorClass: 'none' },
  { name: 'content-too-large', value: 311, errorClass: 'soft' },
  { name: 'no-route', value: 312, errorClass: 'soft' },
  { name: 'no-consumers', value: 313, errorClass: 'soft' },
  { name: 'connection-forced', value: 320, errorClass: 'hard' },
  { name: 'invalid-path', value: 402, errorClass: 'hard' },
  { name: 'access-refused', value: 403, errorClass: 'soft' },
  { name: 'not-found', value: 404, errorClass: 'soft' },
  { name: 'resource-locked', value: 405, errorClass: 'soft' },
  { name: 'precondition-failed', value: 406, errorClass: 'soft' },
  { name: 'frame-error', value: 501, errorClass: 'hard' },
  { name: 'syntax-error', value: 502, errorClass: 'hard' },
  { name: 'command-invalid', value: 503, errorClass: 'hard' },
  { name: 'channel-error', value: 504, errorClass: 'hard' },
  { name: 'unexpected-frame', value: 505, errorClass: 'hard' },
  { name: 'resource-error', value: 506, errorClass: 'hard' },
  { name: 'not-allowed', value: 530, errorClass: 'hard' },
  { name: 'not-implemented', value: 540, errorClass: 'hard' },
  { name: 'internal-error', value: 541, errorClass: 'hard' },
]

/** The properties of class basic, in the order of their flags and so of their values (§4.2.6.1). */
export const basicProperties: readonly PropertyDefinition[] = [
  { name: 'content-type', flag: 0x8000, kind: 'shortstr' },
  { name: 'content-encoding', flag: 0x4000, kind: 'shortstr' },
  { name: 'headers', flag: 0x2000, kind: 'table' },
  { name: 'delivery-mode', flag: 0x1000, kind: 'octet' },
  { name: 'priority', flag: 0x0800, kind: 'octet' },
  { name: 'correlation-id', flag: 0x0400, kind: 'shortstr' },
  { name: 'reply-to', flag: 0x0200, kind: 'shortstr' },
  { name: 'expiration', flag: 0x0100, kind: 'shortstr' },
  { name: 'message-id', flag: 0x0080, kind: 'shortstr' },
  { name: 'timestamp', flag: 0x0040, kind: 'timestamp' },
  { name: 'type', flag: 0x0020, kind: 'shortstr' },
  { name: 'user-id', flag: 0x0010, kind: 'shortstr' },
  { name: 'app-id', flag: 0x0008, kind: 'shortstr' },
  { name: 'cluster-id', flag: 0x0004, kind: 'shortstr' },
]

/** The access ticket that AMQP 0-8 put in front of many methods. */
const ticket = 'reserved short ticket'

const closeFields = ['short reply-code', 'shortstr reply-text', 'short class-id', 'short method-id']
const tuneFields = ['short channel-max', 'long frame-max', 'short heartbeat']
const exchangeBindFields = [
  ticket,
  'shortstr destination',
  'shortstr source',
  'shortstr routing-key',
  'bit nowait',
  'table arguments',
]

export const classes: readonly ClassDefinition[] = [
  {
    name: 'connection',
    id: 10,
    methods: [
      method('start', 10, 'server', {
        fields: [
          'octet version-major',
          'octet version-minor',
          'table server-properties',
          'longstr mechanisms',
          'longstr locales',
        ],
        answers: ['start-ok'],
      }),
      method('start-ok', 11, 'client', {
        fields: ['table client-properties', 'shortstr mechanism', 'bytes response', 'shortstr locale'],
      }),
      method('secure', 20, 'server', { fields: ['bytes challenge'], answers: ['secure-ok'] }),
      method('secure-ok', 21, 'client', { fields: ['bytes response'] }),
      method('tune', 30, 'server', { fields: tuneFields, answers: ['tune-ok'] }),
      method('tune-ok', 31, 'client', { fields: tuneFields }),
      method('open', 40, 'client', {
        fields: ['shortstr virtual-host', 'reserved shortstr capabilities', 'reserved bit insist'],
        answers: ['open-ok'],
      }),
      method('open-ok', 41, 'server', { fields: ['reserved shortstr known-hosts'] }),
      method('close', 50, 'both', { fields: closeFields, answers: ['close-ok'] }),
      method('close-ok', 51, 'both'),
      method('blocked', 60, 'server', { fields: ['shortstr reason'] }),
      method('unblocked', 61, 'server'),
      method('update-secret', 70, 'client', {
        fields: ['bytes new-secret', 'shortstr reason'],
        answers: ['update-secret-ok'],
      }),
      method('update-secret-ok', 71, 'server'),
    ],
  },
  {
    name: 'channel',
    id: 20,
    methods: [
      method('open', 10, 'client', { fields: ['reserved shortstr out-of-band'], answers: ['open-ok'] }),
      method('open-ok', 11, 'server', { fields: ['reserved longstr channel-id'] }),
      method('flow', 20, 'both', { fields: ['bit active'], answers: ['flow-ok'] }),
      method('flow-ok', 21, 'both', { fields: ['bit active'] }),
      method('close', 40, 'both', { fields: closeFields, answers: ['close-ok'] }),
      method('close-ok', 41, 'both'),
    ],
  },
  {
    name: 'access',
    id: 30,
    methods: [
      method('request', 10, 'client', {
        fields: ['shortstr realm', 'bit exclusive', 'bit passive', 'bit active', 'bit write', 'bit read'],
        answers: ['request-ok'],
      }),
      method('request-ok', 11, 'server', { fields: ['short ticket'] }),
    ],
  },
  {
    name: 'exchange',
    id: 40,
    methods: [
      method('declare', 10, 'client', {
        fields: [
          ticket,
          'shortstr exchange',
          'shortstr type',
          'bit passive',
          'bit durable',
          'bit auto-delete',
          'bit internal',
          'bit nowait',
          'table arguments',
        ],
        answers: ['declare-ok'],
      }),
      method('declare-ok', 11, 'server'),
      method('delete', 20, 'client', {
        fields: [ticket, 'shortstr exchange', 'bit if-unused', 'bit nowait'],
        answers: ['delete-ok'],
      }),
      method('delete-ok', 21, 'server'),
      method('bind', 30, 'client', { fields: exchangeBindFields, answers: ['bind-ok'] }),
      method('bind-ok', 31, 'server'),
      method('unbind', 40, 'client', { fields: exchangeBindFields, answers: ['unbind-ok'] }),
      method('unbind-ok', 51, 'server'),
    ],
  },
  {
    name: 'queue',
    id: 50,
    methods: [
      method('declare', 10, 'client', {
        fields: [
          ticket,
          'shortstr queue',
          'bit passive',
          'bit durable',
          'bit exclusive',
          'bit auto-delete',
          'bit nowait',
          'table arguments',
        ],
        answers: ['declare-ok'],
      }),
      method('declare-ok', 11, 'server', {
        fields: ['shortstr queue', 'long message-count', 'long consumer-count'],
      }),
      method('bind', 20, 'client', {
        fields: [
          ticket,
          'shortstr queue',
          'shortstr exchange',
          'shortstr routing-key',
          'bit nowait',
          'table arguments',
        ],
        answers: ['bind-ok'],
      }),
      method('bind-ok', 21, 'server'),
      method('purge', 30, 'client', { fields: [ticket, 'shortstr queue', 'bit nowait'], answers: ['purge-ok'] }),
      method('purge-ok', 31, 'server', { fields: ['long message-count'] }),
      method('delete', 40, 'client', {
        fields: [ticket, 'shortstr queue', 'bit if-unused', 'bit if-empty', 'bit nowait'],
        answers: ['delete-ok'],
      }),
      method('delete-ok', 41, 'server', { fields: ['long message-count'] }),
      method('unbind', 50, 'client', {
        fields: [ticket, 'shortstr queue', 'shortstr exchange', 'shortstr routing-key', 'table arguments'],
        answers: ['unbind-ok'],
      }),
      method('unbind-ok', 51, 'server'),
    ],
  },
  {
    name: 'basic',
    id: 60,
    methods: [
      method('qos', 10, 'client', {
        fields: ['long prefetch-size', 'short prefetch-count', 'bit global'],
        answers: ['qos-ok'],
      }),
      method('qos-ok', 11, 'server'),
      method('consume', 20, 'client', {
        fields: [
          ticket,
          'shortstr queue',
          'shortstr consumer-tag',
          'bit no-local',
          'bit no-ack',
          'bit exclusive',
          'bit nowait',
          'table arguments',
        ],
        answers: ['consume-ok'],
      }),
      method('consume-ok', 21, 'server', { fields: ['shortstr consumer-tag'] }),
      method('cancel', 30, 'both', { fields: ['shortstr consumer-tag', 'bit nowait'], answers: ['cancel-ok'] }),
      method('cancel-ok', 31, 'both', { fields: ['shortstr consumer-tag'] }),
      method('publish', 40, 'client', {
        fields: [ticket, 'shortstr exchange', 'shortstr routing-key', 'bit mandatory', 'bit immediate'],
        content: true,
        frequent: true,
      }),
      method('return', 50, 'server', {
        fields: ['short reply-code', 'shortstr reply-text', 'shortstr exchange', 'shortstr routing-key'],
        content: true,
      }),
      method('deliver', 60, 'server', {
        fields: [
          'shortstr consumer-tag',
          'longlong delivery-tag',
          'bit redelivered',
          'shortstr exchange',
          'shortstr routing-key',
        ],
        content: true,
        frequent: true,
      }),
      method('get', 70, 'client', {
        fields: [ticket, 'shortstr queue', 'bit no-ack'],
        answers: ['get-ok', 'get-empty'],
      }),
      method('get-ok', 71, 'server', {
        fields: [
          'longlong delivery-tag',
          'bit redelivered',
          'shortstr exchange',
          'shortstr routing-key',
          'long message-count',
        ],
        content: true,
      }),
      method('get-empty', 72, 'server', { fields: ['reserved shortstr cluster-id'] }),
      method('ack', 80, 'both', { fields: ['longlong delivery-tag', 'bit multiple'], frequent: true }),
      method('reject', 90, 'client', { fields: ['longlong delivery-tag', 'bit requeue'] }),
      method('recover-async', 100, 'client', { fields: ['bit requeue'] }),
      method('recover', 110, 'client', { fields: ['bit requeue'], answers: ['recover-ok'] }),
      method('recover-ok', 111, 'server'),
      method('nack', 120, 'both', { fields: ['longlong delivery-tag', 'bit multiple', 'bit requeue'] }),
      method('credit', 200, 'internal'),
      method('credit-ok', 201, 'internal'),
      method('credit-drained', 202, 'internal'),
    ],
  },
  {
    name: 'confirm',
    id: 85,
    methods: [
      method('select', 10, 'client', { fields: ['bit nowait'], answers: ['select-ok'] }),
      method('select-ok', 11, 'server'),
    ],
  },
  {
    name: 'tx',
    id: 90,
    methods: [
      method('select', 10, 'client', { answers: ['select-ok'] }),
      method('select-ok', 11, 'server'),
      method('commit', 20, 'client', { answers: ['commit-ok'] }),
      method('commit-ok', 21, 'server'),
      method('rollback', 30, 'client', { answers: ['rollback-ok'] }),
      method('rollback-ok', 31, 'server'),
    ],
  },
]

interface MethodOptions {
  /** Each `kind name`, or `reserved kind name`. */
  readonly fields?: readonly string[]
  readonly answers?: readonly string[]
  readonly content?: boolean
  readonly frequent?: boolean
}

function method(name: string, id: number, direction: Direction, options: MethodOptions = {}): MethodDefinition {
  return {
    name,
    id,
    direction,
    fields: (options.fields ?? []).map(field),
    answers: options.answers ?? [],
    content: options.content ?? false,
    frequent: options.frequent ?? false,
  }
}

function field(text: string): FieldDefinition {
  const words = text.split(' ')
  const reserved = words[0] === 'reserved'
  const [kind, name] = reserved ? words.slice(1) : words
  if (kind === undefined || name === undefined) throw new Error(`not a field: ${text}`)
  return { name, kind: fieldKind(kind), reserved }
}

function fieldKind(text: string): FieldKind {
  switch (text) {
    case 'bit':
    case 'octet':
    case 'short':
    case 'long':
    case 'longlong':
    case 'shortstr':
    case 'longstr':
    case 'bytes':
    case 'table':
      return text
    default:
      throw new Error(`no such type of field: ${text}`)
  }
}
