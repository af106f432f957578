/**
 * Thousands of sequences of system calls, on real sockets of the kernel and on ours: every outcome, errno, count, address
 * and mask, is the same, but for the differences that docs/LINUX.md lists. Needs root, iproute2 and Python.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { ADDRESSES, parseScript, SETTINGS } from '../support/script.ts'
import { runOnHost } from '../support/script-host.ts'
import { type Case, GROUPS } from './errno-cases.ts'
import { DIFFERENCES, type Difference } from './errno-differences.ts'

/** Scripts run side by side: most of the time goes by in waiting. */
const WORKERS = 6

/** What comes of scripts on the kernel, in their order. */
const runOnKernel = async (cases: readonly Case[]): Promise<string[][]> => {
  const outcomes: string[][] = []
  const work = async (worker: number): Promise<void> => {
    const python = spawn('python3', [join(import.meta.dirname, 'errno.py')], { stdio: ['pipe', 'pipe', 'inherit'] })
    const mine = cases.map((_, i) => i).filter((i) => i % WORKERS === worker)
    for (const i of mine) {
      const script = { steps: parseScript(cases[i]!.script), addresses: ADDRESSES, sysctl: SETTINGS }
      python.stdin.write(`${JSON.stringify(script)}\n`)
    }
    python.stdin.end()
    let next = 0
    for await (const line of createInterface({ input: python.stdout })) outcomes[mine[next++]!] = JSON.parse(line)
  }
  await Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(worker)))
  return outcomes
}

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

test.each(Object.entries(GROUPS))('%s', { timeout: 600_000 }, async (_, cases) => {
  const settings = machine()
  const theirs = await runOnKernel(cases)
  const surprises: string[] = []
  for (const [i, { name, script }] of cases.entries()) {
    const steps = parseScript(script)
    const ours = await runOnHost(steps, settings)
    for (const [at, { text }] of steps.entries()) {
      const real = comparable(name, theirs[i]![at])
      const own = comparable(name, ours[at])
      if (real === own) continue
      const known = DIFFERENCES.find((difference) => difference.cases.test(name) && difference.steps.test(text))
      if (known === undefined) surprises.push(`${name} | ${text}: ${real} on Linux, here ${own}`)
      else used.add(known)
    }
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
