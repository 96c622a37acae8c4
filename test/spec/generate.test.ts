import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { generate, generatedPath } from '../../spec/generate.ts'

describe('the generator', () => {
  it('makes the file that is checked in (if not, run `npm run generate`)', async () => {
    expect(await generate()).toBe(await readFile(generatedPath, 'utf8'))
  })
})
