import { describe, expect, it, vi } from 'vitest'
import { runScenario } from './lab.ts'
import { SCENARIOS } from './registry.ts'

// The longest row works for six seconds, on a machine that has nothing else to do.
vi.setConfig({ testTimeout: 180_000 })

describe('the catalogue', () => {
  for (const scenario of SCENARIOS) {
    it(`${scenario.group} ${scenario.name}`, async () => {
      const report = await runScenario(scenario)
      const wrong = report.checks.filter((check) => !check.ok)
      expect(wrong.map(({ what, expected, actual }) => ({ what, expected, actual }))).toEqual([])
      expect(report.checks.length).toBeGreaterThan(0)
    })
  }
})
