// Bundles the sources for `npm run build`: few files instead of two hundred, which Node.js would open, compile and link one
// by one at each start. They are the sources' own text without types and comments, each under its name; the program and
// `import 'leveret'` share them. Packages stay where npm put them. What a start needs lies in three files: the settings,
// what opens the store, and the broker, which is loaded meanwhile. main.ts waits while they are loaded, so that none of
// them may import anything out of its file.
import { isAbsolute } from 'node:path'
import { defineConfig } from 'rolldown'

export default defineConfig({
  input: ['./src/main.ts', './src/server.ts'],
  platform: 'node',
  external: (id) => !id.startsWith('.') && !isAbsolute(id),
  output: {
    dir: 'dist',
    cleanDir: true,
    format: 'esm',
    sourcemap: true,
    comments: false,
    chunkFileNames: 'chunks/[name]-[hash].js',
    codeSplitting: {
      groups: [
        { name: 'configuration', test: /src\/(exit|config\/config|config\/plain-flags)\.ts$/, priority: 3 },
        { name: 'opening', test: /src\/(start|server)\.ts$/, priority: 2 },
        { name: 'broker', test: /src\/running-server\.ts$/, priority: 1 },
      ],
    },
  },
})
