// What JSON is made of: which fields there are, and of which types, whatever their values.

/** The types that were seen at each path, such as `items[].message_stats.publish`. */
export type Shape = ReadonlyMap<string, ReadonlySet<string>>

/** The shape of a value. Names of the node that are keys become `:node`. */
export function shapeOf(value: unknown, node = ''): Shape {
  const shape = new Map<string, Set<string>>()
  note(value, '')
  return shape

  function note(one: unknown, path: string): void {
    const types = shape.get(path) ?? new Set<string>()
    shape.set(path, types.add(typeOf(one)))
    if (Array.isArray(one)) for (const item of one) note(item, `${path}[]`)
    else if (typeof one === 'object' && one !== null) {
      for (const [key, inner] of Object.entries(one)) note(inner, `${path}.${key === node ? ':node' : key}`)
    }
  }
}

/** RabbitMQ writes an empty object as an empty list now and then, and a whole number for any. */
function typeOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return value.length === 0 ? 'empty' : 'array'
  if (typeof value === 'object') return Object.keys(value).length === 0 ? 'empty' : 'object'
  return typeof value
}

/**
 * What the second shape lacks of the first: `- path` is not there, `! path` has another type. What it has beyond that is
 * not told.
 */
export function lacking(theirs: Shape, ours: Shape): readonly string[] {
  const lines: string[] = []
  for (const [path, types] of theirs) {
    const here = ours.get(path)
    if (here === undefined) lines.push(`- ${path}: ${[...types].join(' | ')}`)
    else if (!compatible(types, here)) lines.push(`! ${path}: ${[...types].join(' | ')}, ours ${[...here].join(' | ')}`)
  }
  // Only the outermost is named.
  return lines.filter((line) => !lines.some((other) => line !== other && line[0] === other[0] && within(line, other)))
}

function within(line: string, other: string): boolean {
  const path = line.slice(2).split(': ')[0]!
  const outer = other.slice(2).split(': ')[0]!
  return path.startsWith(`${outer}.`) || path.startsWith(`${outer}[]`)
}

function compatible(theirs: ReadonlySet<string>, ours: ReadonlySet<string>): boolean {
  return [...ours].every((type) => type === 'empty' || theirs.has(type) || (theirs.has('empty') && type !== 'null'))
}
