import { defineConfig } from 'vitest/config'

/** Tests of devices, whose traffic takes a machine by itself. */
const DEVICES = ['test/interop/tuntap.test.ts', 'test/interop/up.test.ts']

const TIMES = { testTimeout: 600_000, hookTimeout: 600_000 }

/** Tests against real programs and the kernel: as root, in network namespaces that they make. */
export default defineConfig({
  test: {
    globalSetup: ['test/support/build.ts'],
    projects: [
      {
        test: {
          ...TIMES,
          name: 'programs',
          include: ['test/interop/**/*.test.ts'],
          exclude: DEVICES,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      { test: { ...TIMES, name: 'devices', include: DEVICES, maxWorkers: 1, sequence: { groupOrder: 1 } } },
    ],
  },
})
