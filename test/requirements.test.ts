import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { versionsOf } from '../src/packetdrill/index.ts'

/** docs/RFC.md tells of every requirement of RFC 9293, and what it names for one names that one back. */

const root = join(import.meta.dirname, '..')
const text = readFileSync(join(root, 'docs/RFC.md'), 'utf8')
const section = text.slice(text.indexOf("## RFC 9293's requirements"), text.indexOf('## IP and ICMP'))

/** The rows of the table whose first column has this name: number, and what is said of it. */
const rowsOf = (kind: string): Map<number, string> => {
  const start = section.indexOf(`| ${kind} | what |`)
  const [table = ''] = section.slice(start).split('\n\n')
  return new Map([...table.matchAll(/^\| (\d+) \| (.*) \|$/gm)].map(([, number, rest]) => [Number(number), rest!]))
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, i) => i + 1)

const fileOf = (name: string): string => [name, `src/${name}`].map((path) => join(root, path)).find(existsSync) ?? name

describe('RFC 9293, appendix B', () => {
  it('has 69 MUSTs, 31 SHOULDs and 18 MAYs, and all are there', () => {
    expect([...rowsOf('MUST').keys()]).toEqual(upTo(69))
    expect([...rowsOf('SHLD').keys()]).toEqual(upTo(31))
    expect([...rowsOf('MAY').keys()]).toEqual(upTo(18))
  })

  it.each([...rowsOf('MUST')])('MUST-%d is named by what shows it', (number, row) => {
    const files = [...row.matchAll(/`([\w./-]+\/[\w.-]+)`/g)].map(([, name]) => name!)
    expect(files.length).toBeGreaterThan(0)
    const silent = files.filter((name) => !new RegExp(`\\bMUST-${number}\\b`).test(readFileSync(fileOf(name), 'utf8')))
    expect(silent).toEqual([])
  })
})

it('docs/CONFORMANCE.md counts the scripts of each RFC, and their runs', () => {
  const folder = join(root, 'test/conformance')
  const conformance = readFileSync(join(root, 'docs/CONFORMANCE.md'), 'utf8')
  const counted = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => {
      const scripts = readdirSync(join(folder, name)).filter((file) => file.endsWith('.pkt'))
      return [name.replace('rfc', ''), scripts.length, scripts.reduce((sum, file) => sum + versionsOf(file).length, 0)]
    })
  for (const row of counted) expect(conformance).toContain(`| ${row.join(' | ')} |`)
  const sum = (column: number): number => counted.reduce((total, row) => total + Number(row[column]), 0)
  expect(conformance).toContain(`has ${sum(1)} scripts by RFC and section, ${sum(2)} runs`)
})
