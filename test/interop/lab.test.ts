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

it.each(rows)('tshark reads the capture of %s without a complaint', (row) => {
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
  const checks = ['-o', 'ip.check_checksum:TRUE', '-o', 'tcp.check_checksum:TRUE', '-o', 'udp.check_checksum:TRUE']
  const columns = [
    '_ws.malformed',
    'ip.checksum.status',
    'tcp.checksum.status',
    'icmp.type',
    'frame.number',
    'frame.protocols',
  ]
  const packets = tshark(...checks, '-T', 'fields', ...columns.flatMap((name) => ['-e', name]))
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'))
  expect(packets.filter((packet) => /\b(eth|ip)\b/.test(packet[5]!)).length).toBeGreaterThan(0)
  const isBad = (status: string): boolean => status.split(',').includes('0')
  // The segment that an ICMP error quotes is cut, and tshark sums up what is left of it.
  const wrong = packets.filter(
    ([malformed, ip, tcp, icmp]) => malformed !== '' || isBad(ip!) || (isBad(tcp!) && icmp === ''),
  )
  expect(wrong).toEqual([])
})

it('tshark shows the sockets of each packet, and the names of hosts', () => {
  const file = join(folder, 'named.pcapng')
  execFileSync(process.execPath, [main, 'lab', 'three-queues', '--pcap', file], { stdio: 'ignore' })
  const show = (...args: string[]): string[] =>
    spawnSync('tshark', ['-r', file, '-Y', 'tcp.len == 500', ...args], { encoding: 'utf8' }).stdout.split('\n')
  const [comment] = show('-T', 'fields', '-e', 'frame.comment')
  expect(comment).toMatch(
    /^client 10\.0\.0\.1:\d+ ESTABLISHED, cwnd \d+, SendQ 1000, RecvQ 0 \(sender, fd 3\)\\nserver 10\.0\.0\.2:5050 \S+/,
  )
  expect(show('-N', 'n')[0]).toMatch(/ client → server +TCP /)
})
