import { expect, it, vi } from 'vitest'
import { runScenario } from './lab.ts'
import { SCENARIOS } from './registry.ts'

vi.setConfig({ testTimeout: 180_000 })

// No row is Linux's alone: where the systems differ, its checks say what each does.
it.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))(
  '%s, with the manners of BSD',
  async (_, row) => {
    const { checks } = await runScenario(row, { personality: 'bsd' })
    expect(checks.filter(({ ok }) => !ok)).toEqual([])
    expect(checks.length).toBeGreaterThan(0)
  },
)
