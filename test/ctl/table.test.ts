// Lists as tables, as values with commas, and for programs.
import { expect, it } from 'vitest'
import { csvText, selected, tableText } from '../../src/ctl/table.ts'

const columns = ['name', { name: 'queue_name', path: 'queue.name' }]
const rows = [{ name: 'a "b", c', queue: { name: 'q' } }, { name: 'line\nbreak' }]

it('aligns tables and escapes what would move the cursor', () => {
  expect(tableText(columns, rows, true)).toBe('name             queue_name\na "b", c         q\nline\\u000abreak\n')
  expect(tableText(columns, rows, false)).not.toContain('queue_name')
})

it('quotes values with commas, quotes and line breaks', () => {
  expect(csvText(columns, rows, true)).toBe('name,queue_name\r\n"a ""b"", c",q\r\n"line\nbreak",\r\n')
  expect(csvText(columns, rows, false)).not.toContain('queue_name')
})

it('gives programs the chosen columns under their names', () => {
  expect(selected(columns, rows)[0]).toEqual({ name: 'a "b", c', queue_name: 'q' })
})
