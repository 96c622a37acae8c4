// The word that somebody may have meant.
import { describe, expect, it } from 'vitest'
import { nearest } from '../../src/lib/nearest.ts'

describe('nearest', () => {
  it.each([
    ['prot', 'port'],
    ['PORT', 'port'],
    ['hst', 'host'],
    ['datadir', 'data-dir'],
    ['data_dir', 'data-dir'],
    ['logg-levle', 'log-level'],
    ['', 'port'],
  ])('takes %s for %s', (word, meant) => {
    expect(nearest(word, ['port', 'host', 'data-dir', 'log-level', 'log-format'])).toBe(meant)
  })

  it('knows nothing among no words', () => {
    expect(nearest('port', [])).toBeUndefined()
  })
})
