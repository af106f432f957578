import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { COMMAND } from '../support/command.ts'

/** The command `netglass packetdrill`, run as a program. */

const RESET = '0 < S 0:0(0) win 1000 <mss 1000>\n+0 > R. 0:0(0) ack 1\n'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'netglass-packetdrill-'))
  mkdirSync(join(folder, 'more'))
  writeFileSync(join(folder, 'good.pkt'), RESET)
  writeFileSync(join(folder, 'more', 'only-v4.pkt'), `\`../set.sh\`\n${RESET}`)
  writeFileSync(join(folder, 'set.sh'), 'sysctl -q net.ipv4.tcp_sack=0 # off\n')
  writeFileSync(join(folder, 'notes.txt'), 'no script')
})
afterAll(() => rmSync(folder, { recursive: true }))

const packetdrill = (...args: string[]): { status: number | null; out: string; err: string } => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, 'packetdrill', ...args], {
    encoding: 'utf8',
  })
  return { status, out: stdout, err: stderr }
}

describe('netglass packetdrill', () => {
  it('runs what a directory holds, over every version that it is for', () => {
    expect(packetdrill(folder)).toEqual({ status: 0, out: '5 passed, 0 failed, 0 unsupported\n', err: '' })
    expect(packetdrill('--ip_version', 'ipv6', folder).out).toBe('1 passed, 0 failed, 0 unsupported\n')
  })

  it('prints what does not hold, and the exchange, and fails', () => {
    const bad = join(folder, 'bad.pkt')
    writeFileSync(bad, RESET.replace('R.', 'S.'))
    const { status, out } = packetdrill('--ip_version=ipv4', bad)
    rmSync(bad)
    expect(status).toBe(1)
    expect(out.split('\n')).toEqual([
      `FAILED  ${bad}:2 [ipv4]: flags S. expected, R. came`,
      '  expected: S. 0:0(0) ack 1',
      '  came:     0.000000 R. 0:0(0) ack 1',
      '  the exchange so far:',
      '     0.000000  <--- S 0:0(0) win 1000 <mss 1000>',
      '!    0.000000  ---> R. 0:0(0) ack 1 win 0',
      '0 passed, 1 failed, 0 unsupported',
      '',
    ])
  })

  it('takes definitions, for all versions or for one, and flags of packetdrill before those of the script', () => {
    const named = join(folder, 'named.pkt')
    writeFileSync(named, `--mtu=1200\n${RESET.replace('win 1000', 'win SIZE').replace('mss 1000', 'mss MSS')}`)
    const define = ['-D', 'SIZE=1000', '-D', 'ipv6:MSS=1000']
    const { out } = packetdrill(...define, '--tolerance_usecs=20', '--mtu=1300', '--send_omit_free', named)
    expect(out.replaceAll(named, 'X')).toBe(
      [
        'FAILED  X:2 [ipv4]: a whole number expected, MSS came',
        'FAILED  X:2 [ipv4-mapped-ipv6]: a whole number expected, MSS came',
        '1 passed, 2 failed, 0 unsupported\n',
      ].join('\n'),
    )
    rmSync(named)
  })

  it('counts what it cannot run apart, and fails too', () => {
    const odd = join(folder, 'odd.pkt')
    writeFileSync(odd, '`reboot`\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n')
    const { status, out } = packetdrill('--ip_version=ipv4', odd)
    rmSync(odd)
    expect(status).toBe(1)
    expect(out).toBe(`UNSUPPORTED  ${odd} [ipv4]: the command reboot\n0 passed, 0 failed, 1 unsupported\n`)
  })

  it('prints JSON, and writes a capture with a section for each run', () => {
    const capture = join(folder, 'run.pcapng')
    const { status, out } = packetdrill('--json', '--pcap', capture, join(folder, 'good.pkt'))
    expect(status).toBe(0)
    const runs = JSON.parse(out) as { file: string; result: { outcome: string; ipVersion: string } }[]
    expect(runs.map(({ result }) => [result.ipVersion, result.outcome])).toEqual([
      ['ipv4', 'passed'],
      ['ipv4-mapped-ipv6', 'passed'],
      ['ipv6', 'passed'],
    ])
    const bytes = readFileSync(capture)
    const sections = bytes.toString('latin1').split('\x0a\x0d\x0d\x0a').length - 1
    expect(sections).toBe(3)
  })

  it.each([
    [['/nowhere'], '/nowhere: there is no such file or directory'],
    [['--ip_version', 'ipx', '.'], '--ip_version ipx: choose ipv4, ipv4-mapped-ipv6, ipv6, or all'],
    [['--personality', 'vms', '.'], '--personality vms: choose linux or bsd'],
    [['-D', 'X', '.'], '-D X: write it as NAME=VALUE'],
    [['--mtu', 'big', '.'], '--mtu big: give a number'],
    [['--local_ip', 'here', '.'], '--local_ip here: give an IP address'],
  ])('says in one line what is wrong: %s', (args, line) => {
    const { status, err } = packetdrill(...args)
    expect(status).toBe(1)
    expect(err).toBe(`netglass: ${line}\n`)
  })
})
