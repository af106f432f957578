import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { COMMAND } from '../support/command.ts'

/** The command `netglass bench`, run as a program. */

const ROOT = join(import.meta.dirname, '../..')

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'netglass-bench-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const bench = (...args: string[]): { status: number | null; out: string; err: string } => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, 'bench', ...args], { encoding: 'utf8' })
  return { status, out: stdout, err: stderr }
}

it('prints a report as JSON, and compares with it', () => {
  const json = bench('--case', 'forwarding', '--runs', '1', '--json')
  expect(json.err).toBe('')
  const report = JSON.parse(json.out) as { machine: string; date: string; rows: { ours: number }[] }
  expect(report.machine).toContain(`Node ${process.version}`)
  expect(report.rows).toMatchObject([{ name: 'forwarding', unit: '1/s', kernel: null, ratio: null, runs: 1 }])
  expect(report.rows[0]!.ours).toBeGreaterThan(10_000)
  const file = join(folder, 'before.json')
  writeFileSync(file, JSON.stringify({ ...report, rows: [{ ...report.rows[0], ours: 1000 }] }))
  const table = bench('--case', 'forwarding', '--runs', '1', '--compare', file)
  expect(table.err).toBe('')
  expect(table.out).toMatch(/\npackets of 64 bytes through a router +\d+ +– +1\/s +– +1000 \(\+\d+ %, better\)\n$/)
})

it('says in one line what is wrong', () => {
  const told = (...args: string[]): string => {
    const { status, err } = bench(...args)
    expect(status).toBe(1)
    return err
  }
  expect(told('--case', 'bulk')).toBe('netglass: there is no case bulk: netglass bench --list prints the names\n')
  expect(told('--without', 'wasm,warp')).toBe(
    'netglass: --without warp: there is no such fast path: --without list prints them\n',
  )
  expect(told('--ablate', '--json')).toBe('netglass: --ablate prints a table, with and without: leave out --json\n')
  expect(told('--ablate', '--compare', 'x')).toMatch(/: leave out --compare\n$/)
  expect(told('--runs', '0')).toBe('netglass: --runs 0: it takes a whole number from 1 on\n')
  expect(told('--compare', join(ROOT, 'package.json'))).toMatch(
    /^netglass: .*package.json cannot be compared with: netglass bench --json makes such files\n$/,
  )
})

it('measures what a fast path brings', () => {
  expect(bench('--without', 'list').out).toMatch(/^wasm +checksums .*\n(\S+ {2,}\S.*\n){10,}$/)
  const { err, out } = bench('--ablate', '--without', 'input-cache', '--case', 'forwarding', '--runs', '1')
  expect(err).toBe('')
  const number = '[\\d,]+'
  expect(out).toMatch(
    new RegExp(`\n\\| input-cache \\| forwarding \\| 1/s \\| ${number} \\| ${number} \\| [\\d.]+ \\|\n$`),
  )
})

it('measures both sides over a range of sizes, and draws', () => {
  const { err, out } = bench('measure', '--only', 'copy', '--runs', '2', '--json', '--plot', folder)
  expect(err).toBe('')
  const { runs, tables } = JSON.parse(out) as { runs: number; tables: { name: string; points: Point[] }[] }
  expect(runs).toBe(2)
  expect(tables.map(({ name }) => name)).toEqual(['copy'])
  expect(tables[0]!.points.map(({ x }) => x)).toEqual([4, 8, 16, 32, 64, 128, 256, 512, 1024])
  for (const { ours } of tables[0]!.points) expect(ours).toMatchObject({ count: 2, mean: expect.any(Number) })
  expect(readFileSync(join(folder, 'measure-copy.svg'), 'utf8')).toContain('>1 KiB<')
  const wrong = bench('measure', '--only', 'speed')
  expect([wrong.status, wrong.err]).toEqual([
    1,
    'netglass: --only speed: choose from host, link, offload, pipe, copy, servers\n',
  ])
})

interface Point {
  readonly x: number
  readonly ours: { readonly count: number; readonly mean: number }
}
