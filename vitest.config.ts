import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'interop-tests/**/*.test.ts'],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // What is asked for again and again comes late on a slow machine.
    expect: { poll: { timeout: 15_000 } },
    reporters: ['default'],
  },
})
