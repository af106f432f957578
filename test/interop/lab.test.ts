import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'

/** What tshark makes of the captures of every scenario. */

const main = join(import.meta.dirname, '../../dist/cli/main.js')

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'netglass-captures-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const rows = [
  ...execFileSync(process.execPath, [main, 'lab', '--list'], { encoding: 'utf8' }).matchAll(/^ {2}(\S+)/gm),
].map(([, name]) => name!)

it.each(rows)('tshark reads the capture of %s without a complaint', { timeout: 60_000 }, (row) => {
  const file = join(folder, `${row}.pcapng`)
  execFileSync(process.execPath, [main, 'lab', row, '--pcap', file], { stdio: 'ignore' })
  // A row without a network leaves no capture.
  if (!existsSync(file)) return
  const tshark = (...args: string[]): string => {
    const { status, stdout, stderr } = spawnSync('tshark', ['-r', file, ...args], {
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
    })
    // As root it warns of being root; of the file it must say nothing.
    expect(stderr.split('\n').filter((line) => line !== '' && !line.includes('as user "root"'))).toEqual([])
    expect(status).toBe(0)
    return stdout
  }
  expect(tshark('-Y', 'eth || ip').split('\n').length).toBeGreaterThan(1)
  const checks = ['-o', 'ip.check_checksum:TRUE', '-o', 'tcp.check_checksum:TRUE', '-o', 'udp.check_checksum:TRUE']
  expect(tshark(...checks, '-Y', '_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0')).toBe('')
})
