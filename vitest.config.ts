import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['test/interop/**', 'test/golden/**'],
    // Only where it is wanted: it takes every file some 50 ms.
    setupFiles: 'TEST_SEED' in process.env || 'TEST_RUNS' in process.env ? ['test/support/seed.ts'] : [],
    testTimeout: 30_000,
  },
})
