// What bounded memories do when they are full.

/** Forgets what was put into a map first. */
export function forgetOldest<Key>(map: Map<Key, unknown>): void {
  for (const oldest of map.keys()) {
    map.delete(oldest)
    return
  }
}
