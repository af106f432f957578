import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { COMMAND } from '../support/command.ts'

/** The command `netglass lab`, run as a program. */

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'netglass-lab-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const netglass = (...args: string[]): { status: number | null; out: string; err: string } => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, ...args], { encoding: 'utf8' })
  return { status, out: stdout, err: stderr }
}

describe('netglass lab', () => {
  it('shows an HTTP exchange, and the queues', () => {
    const { status, out, err } = netglass('lab')
    expect(err).toBe('')
    expect(status).toBe(0)
    expect(out).toMatch(/client\$ netstat -ant\n +Active Internet connections \(servers and established\)\n/)
    expect(out).toMatch(/\n +SendQ +\d+ +█+\n +RecvQ +\d+.*\n +Delivered +\d+/)
    expect(out).toMatch(/\nPASS {2}http: \d+ of \d+ checks\n$/)
  })

  it('lists the rows that the catalogue names', () => {
    const { status, out } = netglass('lab', '--list')
    expect(status).toBe(0)
    const rows = [...out.matchAll(/^ {2}(\S+)/gm)].map(([, name]) => name)
    for (const row of [
      'connect',
      'listen-accept',
      'early-data',
      'refused',
      'connect-timeout',
      'close-first',
      'close-second',
      'close-together',
      'half-close',
      'three-queues',
      'deadlock',
      'zero-window',
      'demux',
      'time-wait',
    ]) {
      expect(rows).toContain(row)
    }
  })

  it('repeats byte for byte with a seed: text, data and capture', () => {
    const runs = [7, 7, 8].map((seed, i) => {
      const file = join(folder, `${i}.pcapng`)
      const { status, out } = netglass('lab', 'demux', '--json', '--seed', String(seed), '--pcap', file)
      expect(status).toBe(0)
      return { out, capture: readFileSync(file) }
    })
    expect(runs[1]!.out).toBe(runs[0]!.out)
    expect(runs[1]!.capture.equals(runs[0]!.capture)).toBe(true)
    expect(runs[2]!.capture.equals(runs[0]!.capture)).toBe(false)
    const report = JSON.parse(runs[0]!.out)
    expect(report).toMatchObject({ version: 1, scenario: 'demux', seed: 7 })
    expect(report.checks.length).toBeGreaterThan(3)
    expect(report.checks.every(({ ok }: { ok: boolean }) => ok)).toBe(true)
  })

  it('draws the busiest connection, and writes its series', () => {
    const [svg, csv, json] = ['p.svg', 's.csv', 's.json'].map((name) => join(folder, name))
    expect(netglass('lab', 'windows', '--plot', svg!, '--series', csv!).status).toBe(0)
    expect(readFileSync(svg!, 'utf8')).toMatch(
      /^<svg [\s\S]*<title>windows: client 10\.0\.0\.1:\d+ &gt; server [\s\S]*<\/svg>\n$/,
    )
    const lines = readFileSync(csv!, 'utf8').split('\r\n')
    expect(lines[0]).toMatch(/^time_s,direction,flags,seq,/)
    expect(lines.length).toBeGreaterThan(500)
    expect(netglass('lab', 'connect', '--series', json!).status).toBe(0)
    const { version, connections } = JSON.parse(readFileSync(json!, 'utf8'))
    expect(version).toBe(1)
    expect(connections.map(({ host }: { host: string }) => host)).toEqual(['client', 'server'])
    expect(connections[0].samples[0]).toMatchObject({ direction: 'out', flags: 'S', seq: 0, window: 64_240 })
  })

  it('gives segments, sockets and queues as numbers', () => {
    const { steps } = JSON.parse(netglass('lab', 'three-queues', '--json').out)
    expect(steps[0].segments[1].tcp).toEqual({
      ...{ flags: 'SYN+ACK', sourcePort: 5050, destinationPort: steps[0].segments[0].tcp.sourcePort },
      ...{ seq: 0, length: 0, ack: 1, window: 65_160, mss: 1460, windowScale: 7 },
    })
    const row = ({ host, state, recvQ, sendQ }: Record<string, unknown>) => [host, state, recvQ, sendQ]
    expect(steps[0].sockets.map(row)).toEqual([
      ['client', 'ESTABLISHED', 0, 6500],
      ['server', 'LISTEN', 0, 0],
      ['server', 'ESTABLISHED', 1500, 0],
    ])
    expect(steps[0].queues[0]).toMatchObject({ sends: [1000, 2000, 5000], sendQ: 6500, recvQ: 1500, delivered: 0 })
  })

  it.each([
    [['connect', '--plot', 'x.png'], '--plot x.png: name it FILE.svg'],
    [['connect', '--series', 'x.txt'], '--series x.txt: name it FILE.json or FILE.csv'],
    [['connect', '--plot', '/nonexistent/x.svg'], 'cannot write /nonexistent/x.svg: no such file or directory'],
    [['--all', '--plot', 'x.svg'], '--plot goes with one row, not with --all'],
    [['nosuch'], 'there is no row nosuch'],
    [['--seed', 'x'], '--seed x'],
    [['--personality', 'vms'], '--personality vms'],
    [['--set', 'net.ipv4.nosuch=1'], '--set net.ipv4.nosuch=1: there is no setting net.ipv4.nosuch'],
    [['--bogus'], "unknown option '--bogus'"],
    [['connect', '--pcap', '/nonexistent/x'], 'cannot write the capture to /nonexistent/x: no such file or directory'],
  ])('refuses %j in one line', (args, message) => {
    const { status, err } = netglass('lab', ...args)
    expect(status).toBe(1)
    expect(err).toContain(message)
    expect(err.trimEnd().split('\n')).toHaveLength(1)
  })

  it.runIf(existsSync('/dev/full'))('says that the disk is full', () => {
    const { status, err } = netglass('lab', 'connect', '--pcap', '/dev/full')
    expect(status).toBe(1)
    expect(err).toBe('netglass: the capture could not be written to /dev/full: no space left on device\n')
    expect(existsSync('/dev/full')).toBe(true)
  })
})
