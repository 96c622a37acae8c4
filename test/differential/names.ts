// The names that programs use, so that what they leave behind can be removed.
export const QUEUES: readonly string[] = ['q0', 'q1', 'q2']
export const EXCHANGES: readonly string[] = ['x0', 'x1', 'x2']
/** A queue that most programs do not have, and those that have it do not use. */
export const NEVER = 'never'
/** Limits of the vhost, by their names. */
export const LIMITS: readonly string[] = ['max-queues', 'max-connections']
/** Policies and operator policies: what their paths begin with, and their names. */
export const POLICIES: readonly (readonly [kind: 'policies' | 'operator-policies', name: string])[] = [
  ['policies', 'p0'],
  ['policies', 'p1'],
  ['operator-policies', 'o0'],
]
