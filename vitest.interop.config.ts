import { defineConfig } from 'vitest/config'

/** Tests against real programs and the kernel: as root, in network namespaces that they make. One file at a time. */
export default defineConfig({
  test: {
    include: ['test/interop/**/*.test.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
