import { describe, expect, it, vi } from 'vitest'
import { runScenario } from './lab.ts'
import { findScenario, SCENARIOS } from './registry.ts'

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

describe('with the manners of BSD', () => {
  // What does not look at the queues' sizes, the accept queue or challenges is the same for both.
  for (const name of [
    'two-queues',
    'buffers',
    'full-then-alive',
    'retransmit',
    'blind-attacks',
    'lost-on-close',
    'fd-limit',
  ]) {
    it(name, async () => {
      const { checks } = await runScenario(findScenario(name)!, { personality: 'bsd' })
      expect(checks.filter(({ ok }) => !ok)).toEqual([])
    })
  }
})
