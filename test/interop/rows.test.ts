/**
 * Rows of the catalogue with Linux as the judge: the calls of their programs, made on real sockets in two namespaces
 * and on two hosts of ours. Errors, counts, addresses, masks and what netstat and ss show are the same, but for what
 * docs/LINUX.md lists. Needs root, iproute2, net-tools and Python.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { runOnKernel } from '../support/kernel-scripts.ts'
import { parseScript } from '../support/script.ts'
import { runOnHost } from '../support/script-host.ts'
import { type Difference, ROW_DIFFERENCES } from './errno-differences.ts'
import { ROWS } from './row-cases.ts'

let theirs: string[][]
const used = new Set<Difference>()

beforeAll(async () => {
  const scripts = ROWS.map(({ script }) => script)
  theirs = await runOnKernel(scripts, true)
})

test.each(ROWS.map(({ name, script }, i) => [name, script, i] as const))('%s', async (name, script, i) => {
  const steps = parseScript(script)
  const ours = await runOnHost(steps, {}, true)
  const told = (outcomes: readonly string[]): string[] =>
    steps.map(({ text }, at) => {
      const known = ROW_DIFFERENCES.find(({ cases, steps }) => cases.test(name) && steps.test(text))
      if (known !== undefined && ours[at] !== theirs[i]![at]) used.add(known)
      return `${text} -> ${known === undefined ? outcomes[at] : 'differs'}`
    })
  // Where processes get no processor for longer than a step waits, the kernel's outcome is another: it is done again.
  for (let attempt = 1; attempt < 4 && told(ours).join() !== told(theirs[i]!).join(); attempt++) {
    theirs[i] = (await runOnKernel([script], true))[0]!
  }
  expect(told(ours)).toEqual(told(theirs[i]!))
})

test('what differs is listed, and nothing else', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/LINUX.md'), 'utf8')
  for (const difference of ROW_DIFFERENCES) {
    expect(page).toContain(`| ${difference.row.join(' | ')} |`)
    expect([difference.row[0], used.has(difference)]).toEqual([difference.row[0], true])
  }
  for (const { name } of ROWS) expect(page).toContain(`\`${name.split(',')[0]}\``)
})
