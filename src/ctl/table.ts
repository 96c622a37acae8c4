// Tables for people: columns as wide as they need to be.
import type { Row } from './client.ts'

/** The rows as text, with a heading. */
export function tableText(columns: readonly string[], rows: readonly Row[]): string {
  const cells = [columns, ...rows.map((row) => columns.map((column) => cellText(at(row, column))))]
  const widths = columns.map((_column, i) => Math.max(...cells.map((line) => line[i]!.length)))
  return cells
    .map(
      (line) =>
        `${line
          .map((cell, i) => cell.padEnd(widths[i]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}

/** The columns of some rows, for programs. */
export function selected(columns: readonly string[], rows: readonly Row[]): readonly Row[] {
  return rows.map((row) => Object.fromEntries(columns.map((column) => [column, at(row, column)])))
}

/** A value by its dotted path. */
function at(row: Row, column: string): unknown {
  let value: unknown = row
  for (const key of column.split('.')) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Row)[key]
  }
  return value
}

/** Names come from strangers: what would move the cursor is shown as an escape. */
function cellText(value: unknown): string {
  const text = typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value)
  return text.replaceAll(/\p{Cc}/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
