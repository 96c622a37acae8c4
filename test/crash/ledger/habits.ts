// How consumers treat what is delivered to them.
import type { Hands } from './consumer.ts'
import type { Random } from '../random.ts'

/** The habit of one consumer. */
export interface Habit {
  readonly name: string
  /** 0 is without limit. */
  readonly prefetch: number
  /** A message arrived with this tag. */
  delivered(hands: Hands, tag: number): void
}

/** Acknowledges each message as it comes. */
export function acknowledgeEach(random: Random): Habit {
  return {
    name: acknowledgeEach.name,
    prefetch: random.skewed(1, 500),
    delivered: (hands, tag) => hands.acknowledge(tag, false),
  }
}

/** Lets some gather and acknowledges many at once, up to one in the middle; now and then a single one before. */
export function acknowledgeMultiple(random: Random): Habit {
  const prefetch = random.int(10, 1000)
  return {
    name: acknowledgeMultiple.name,
    prefetch,
    delivered(hands) {
      if (hands.out.size < prefetch / 2) return
      const tags = [...hands.out.keys()]
      if (random.chance(0.3)) hands.acknowledge(tags.pop()!, false)
      hands.acknowledge(random.pick(tags), true)
    },
  }
}

/** Lets some gather and acknowledges most of them one by one, in any order. With prefetch 0 the window is wide. */
export function acknowledgeShuffled(random: Random): Habit {
  const prefetch = random.pick([0, 50, 500])
  const most = prefetch === 0 ? 3000 : prefetch
  return {
    name: acknowledgeShuffled.name,
    prefetch,
    delivered(hands) {
      if (hands.out.size < most) return
      for (const tag of random.shuffle([...hands.out.keys()]).slice(most / 10)) hands.acknowledge(tag, false)
    },
  }
}

/** Requeues a share, one by one or many at once, and acknowledges the others. */
export function requeueSome(random: Random): Habit {
  const prefetch = random.int(1, 200)
  return {
    name: requeueSome.name,
    prefetch,
    delivered(hands, tag) {
      const choice = random.next()
      if (choice < 0.1) hands.requeue(tag, false)
      else if (choice < 0.12) hands.requeue(tag, true)
      else if (choice < 0.7 || hands.out.size === prefetch) hands.acknowledge(tag, false)
    },
  }
}

/** Acknowledges, and leaves now and then with messages that it did not: by its channel, or without a word. */
export function dropOut(random: Random): Habit {
  const prefetch = random.int(20, 300)
  let left = random.int(50, 2000)
  return {
    name: dropOut.name,
    prefetch,
    delivered(hands, tag) {
      if (hands.out.size >= prefetch || random.chance(0.6)) hands.acknowledge(tag, false)
      if (--left > 0) return
      left = random.int(50, 2000)
      hands.leave(random.chance(0.8) ? 'channel' : 'connection')
    },
  }
}

/** Rejects a share for good, and acknowledges the others. */
export function rejectSome(random: Random): Habit {
  return {
    name: rejectSome.name,
    prefetch: random.int(1, 300),
    delivered(hands, tag) {
      if (random.chance(0.4)) hands.reject(tag)
      else hands.acknowledge(tag, false)
    },
  }
}

/** Has a share fail and come back, and acknowledges the others. */
export function failSome(random: Random): Habit {
  return {
    name: failSome.name,
    prefetch: random.int(1, 100),
    delivered(hands, tag) {
      if (random.chance(0.6)) hands.fail(tag)
      else hands.acknowledge(tag, false)
    },
  }
}
