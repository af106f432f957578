import { defineConfig } from 'vitest/config'

/** Long transfers in virtual time, whose figures are kept: see test/golden. */
export default defineConfig({ test: { include: ['test/golden/**/*.test.ts'], maxWorkers: 2, testTimeout: 600_000 } })
