import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runScenario } from '../src/lab/lab.ts'
import { findScenario } from '../src/lab/registry.ts'
import { LabText } from '../src/lab/text.ts'

/** The transcripts in docs/QUESTIONS.md are what the lab prints. */

const page = readFileSync(join(import.meta.dirname, '../docs/QUESTIONS.md'), 'utf8')
const transcripts = [...page.matchAll(/```\n\$ netglass lab (\S+)\n([\s\S]*?)\n```/g)].map(
  ([, row, text]) => [row!, text!] as const,
)

describe('docs/QUESTIONS.md', () => {
  it('has transcripts', () => expect(transcripts.length).toBeGreaterThan(3))

  it.each(transcripts)('shows %s as it is', async (row, text) => {
    const scenario = findScenario(row)!
    const style = new LabText()
    let printed = style.header(scenario, 1)
    await runScenario(scenario, {
      onStep(step, report) {
        printed += style.step(step, report)
      },
    })
    const output = printed.split('\n').map((line) => line.trimEnd())
    // The parts between the cuts stand in the output one after the other, line for line.
    let from = 0
    for (const part of text.split(/\n *…\n/)) {
      const wanted = part.split('\n')
      const at = output.findIndex((_, i) => i >= from && wanted.every((line, k) => output[i + k] === line))
      expect({ row, part, found: at >= 0 }).toEqual({ row, part, found: true })
      from = at + wanted.length
    }
  })
})
