/**
 * Thousands of sequences of system calls, on real sockets of the kernel and on ours: every outcome, errno, count,
 * address and mask, is the same, but for the differences that docs/LINUX.md lists. Needs root, iproute2 and Python.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runOnKernel } from '../support/kernel-scripts.ts'
import { parseScript } from '../support/script.ts'
import { runOnHost } from '../support/script-host.ts'
import { GROUPS } from './errno-cases.ts'
import { DIFFERENCES, type Difference } from './errno-differences.ts'

/** The greatest buffers belong to the machine, not to a namespace. */
const machine = (): Record<string, string> =>
  Object.fromEntries(
    ['rmem_max', 'wmem_max'].map((name) => [
      `net.core.${name}`,
      readFileSync(`/proc/sys/net/core/${name}`, 'utf8').trim(),
    ]),
  )

/** The identifier of a ping socket is chosen from all there are. */
const comparable = (name: string, outcome: string | undefined): string | undefined =>
  name.startsWith('ping') ? outcome?.replace(/:(\d+|\*)$/, ':*') : outcome

const used = new Set<Difference>()

interface Case {
  readonly name: string
  readonly script: string
}

/** Where the outcomes of a case differ, and no line of the list says so. */
const surprisesOf = async ({ name, script }: Case, theirs: readonly string[]): Promise<string[]> => {
  const steps = parseScript(script)
  const ours = await runOnHost(steps, machine())
  return steps.flatMap(({ text }, at) => {
    const real = comparable(name, theirs[at])
    const own = comparable(name, ours[at])
    if (real === own) return []
    const known = DIFFERENCES.find((difference) => difference.cases.test(name) && difference.steps.test(text))
    if (known === undefined) return [`${name} | ${text}: ${real} on Linux, here ${own}`]
    used.add(known)
    return []
  })
}

test.each(Object.entries(GROUPS))('%s', async (_, cases) => {
  let surprising: readonly Case[] = cases
  let surprises: string[] = []
  // Where processes get no processor for longer than a step waits, the kernel's outcome is another: what surprises is done again.
  for (let attempt = 0; attempt < 4 && surprising.length > 0; attempt++) {
    const theirs = await runOnKernel(surprising.map(({ script }) => script))
    const found = await Promise.all(surprising.map((one, i) => surprisesOf(one, theirs[i]!)))
    surprising = surprising.filter((_, i) => found[i]!.length > 0)
    surprises = found.flat()
  }
  expect(surprises).toEqual([])
  expect(cases.length).toBeGreaterThan(50)
})

test('what differs is listed, and nothing else', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/LINUX.md'), 'utf8')
  for (const difference of DIFFERENCES) {
    expect(page).toContain(`| ${difference.row.join(' | ')} |`)
    expect([difference.row[0], used.has(difference)]).toEqual([difference.row[0], true])
  }
})
