/**
 * Rows of the catalogue with Linux as the judge that need threads, processes or forged packets: the programs of
 * programs.py on the kernel, and those of row-programs.ts on two hosts of ours, find the same. Needs root and Python.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { beforeAll, expect, test } from 'vitest'
import { HOSTS, SETTINGS } from '../support/script.ts'
import { byteOrder, type Facts, PROGRAM_ROWS, runProgramRow } from './row-programs.ts'

/** Addresses as text: right ones, and what looks like one. */
const TEXTS = [
  ...['10.1.2.3', '0.0.0.0', '255.255.255.255', '127.1', '10.1', '1', '0', '4294967295', '4294967296', '010.1.2.3'],
  ...['0x7f.1', '0x0a.0x1.0x2.0x3', '0XA.1', '08.1.1.1', '256.1.1.1', '1.2.3.256', '1.2.65535', '1.2.65536'],
  ...['1.16777215', '1.16777216', '1.2.3.4.5', '1..2', '.1', '1.', '', ' 1.2.3.4', '1.2.3.4 ', '1.2.3.4x', '-1', '+1'],
  ...['1.2.3.04', '::', '::1', '1::', '::ffff:1.2.3.4', '::1.2.3.4', '2001:db8::1', '2001:0db8:0:0:0:0:0:1'],
  ...['2001:DB8::A', '1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7::', '::2:3:4:5:6:7:8', '1::3:4:5:6:7:8', '1:2:3:4:5:6:7'],
  ...['1:2:3:4:5:6:7:8:9', '1::2::3', ':1', '1:', ':::', '12345::', 'g::', 'fe80::1%lo', '1:0:0:2:0:0:0:3'],
  ...['1:0:0:0:2:0:0:3', '::1.2.3', '::1.2.3.400', '1.2.3.4::', '64:ff9b::192.0.2.33', '::0:0', '0:0:0:0:0:0:0:0'],
]

const KERNEL_ROWS = ['byte-order', ...PROGRAM_ROWS]
/** Two at a time: they wait, mostly. */
const WORKERS = 4
const theirs: Record<string, Facts> = {}

beforeAll(async () => {
  const work = async (worker: number): Promise<void> => {
    const python = spawn('python3', [join(import.meta.dirname, 'programs.py')], { stdio: ['pipe', 'pipe', 'inherit'] })
    const mine = KERNEL_ROWS.filter((_, i) => i % WORKERS === worker)
    for (const row of mine) {
      const script = { row, arguments: row === 'byte-order' ? [TEXTS] : [], hosts: HOSTS, sysctl: SETTINGS }
      python.stdin.write(`${JSON.stringify(script)}\n`)
    }
    python.stdin.end()
    let next = 0
    for await (const line of createInterface({ input: python.stdout })) theirs[mine[next++]!] = JSON.parse(line)
  }
  await Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(worker)))
}, 120_000)

test('byte-order', () => {
  const ours: Facts = {}
  byteOrder(ours, TEXTS)
  expect(ours).toEqual(theirs['byte-order'])
})

test.each(PROGRAM_ROWS)('%s', async (row) => {
  expect(await runProgramRow(row)).toEqual(theirs[row])
})

test('docs/LINUX.md names every row', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/LINUX.md'), 'utf8')
  for (const row of KERNEL_ROWS) expect(page).toContain(`\`${row}\``)
})
