// Taking turns: where something is handed out in the order of a map, who got the last of it comes last the next time.

/** Moves the first entries of a map, so many of them, to its end. */
export function endTurns<Key, Value>(map: Map<Key, Value>, count: number): void {
  let left = Math.min(count, map.size)
  for (const [key, value] of map) {
    if (left-- === 0) return
    map.delete(key)
    map.set(key, value)
  }
}
