// Bundles the sources for `npm run build`: few files instead of two hundred, which Node.js would open, compile and link one
// by one at each start. They are the sources' own text without the types, each under its name; the program and
// `import 'leveret'` share them. Packages stay where npm put them.
import { isAbsolute } from 'node:path'
import { defineConfig } from 'rolldown'

export default defineConfig({
  input: ['./src/main.ts', './src/server.ts'],
  platform: 'node',
  external: (id) => !id.startsWith('.') && !isAbsolute(id),
  output: { dir: 'dist', cleanDir: true, format: 'esm', sourcemap: true, chunkFileNames: 'chunks/[name]-[hash].js' },
})
