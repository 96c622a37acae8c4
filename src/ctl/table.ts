// Tables for people, and the same for programs.
import type { Row } from './client.ts'
import type { Column } from './command.ts'

/** The rows as text with columns as wide as they need to be. */
export function tableText(columns: readonly Column[], rows: readonly Row[], heading: boolean): string {
  const body = rows.map((row) => columns.map((column) => cellText(at(row, column))))
  const lines = heading ? [columns.map(nameOf), ...body] : body
  const widths = columns.map((_column, i) => Math.max(0, ...lines.map((line) => line[i]!.length)))
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, i) => cell.padEnd(widths[i]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}

/** The rows as comma-separated values (RFC 4180). */
export function csvText(columns: readonly Column[], rows: readonly Row[], heading: boolean): string {
  const body = rows.map((row) => columns.map((column) => plainText(at(row, column))))
  const lines = heading ? [columns.map(nameOf), ...body] : body
  return lines.map((line) => `${line.map(csvCell).join(',')}\r\n`).join('')
}

/** The columns of some rows, for programs. */
export function selected(columns: readonly Column[], rows: readonly Row[]): readonly Row[] {
  return rows.map((row) => Object.fromEntries(columns.map((column) => [nameOf(column), at(row, column)])))
}

function nameOf(column: Column): string {
  return typeof column === 'string' ? column : column.name
}

/** A value by its dotted path. */
function at(row: Row, column: Column): unknown {
  let value: unknown = row
  for (const key of (typeof column === 'string' ? column : column.path).split('.')) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Row)[key]
  }
  return value
}

function plainText(value: unknown): string {
  return typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value)
}

function cellText(value: unknown): string {
  return visibleText(plainText(value))
}

/** Names come from strangers: what would move the cursor is shown as an escape. */
export function visibleText(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function csvCell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
