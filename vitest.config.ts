import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

/** Tests of what changes its process: Node's modules, and V8's counts. */
const OWN_PROCESS = [
  'src/browser/**',
  'src/cli/**',
  'src/node/**',
  'src/web/**',
  'test/compliance/**',
  'test/growth/**',
]
/** Tests of the command, which run it. */
const COMMAND = ['test/cli/**']
/** Not of `npm test`. */
const OTHERS = ['test/interop/**', 'test/golden/**', '**/node_modules/**']

const files = (folders: string[]): string[] => folders.map((folder) => `${folder}/*.test.ts`)

export default defineConfig({
  test: {
    // Only where it is wanted: it takes every file some 50 ms.
    setupFiles: 'TEST_SEED' in process.env || 'TEST_RUNS' in process.env ? ['test/support/seed.ts'] : [],
    // None waits for time to pass: longer than the slowest takes on a machine that is busy with other things.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      {
        extends: true,
        test: {
          // No module has variables: files share what they import, which took most of the time.
          name: 'stack',
          isolate: false,
          include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
          exclude: [...OWN_PROCESS, ...COMMAND, ...OTHERS],
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: { name: 'node', include: files(OWN_PROCESS), sequence: { groupOrder: 2 } },
      },
      {
        extends: true,
        test: {
          name: 'command',
          include: files(COMMAND),
          globalSetup: ['test/support/build.ts'],
          sequence: { groupOrder: 0 },
        },
      },
    ],
  },
})
