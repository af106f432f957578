import { describe, expect, it } from 'vitest'
import type { World } from '../core/world.ts'
import { formatResult, IP_VERSIONS, type PacketdrillOptions, type PacketdrillResult, runPacketdrill } from './index.ts'

const SERVER = `
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
   +0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
   +0 bind(3, ..., ...) = 0
   +0 listen(3, 1) = 0
   +0 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>
   +0 > S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK,nop,wscale 7>
  +.1 < . 1:1(0) ack 1 win 257
   +0 accept(3, ..., ...) = 4
`

const run = (text: string, options: PacketdrillOptions = {}): Promise<PacketdrillResult> =>
  runPacketdrill(text, null, options)

const told = async (text: string, options: PacketdrillOptions = {}): Promise<string> => {
  const { outcome, line, reason } = await run(text, options)
  return `${outcome}${line === null ? '' : ` in line ${line}`}: ${reason}`
}

describe('a script that holds', () => {
  it.each(IP_VERSIONS)('passes with %s: handshake, data both ways, close', async (ipVersion) => {
    const result = await run(
      `${SERVER}
      +0 write(4, ..., 3000) = 3000
      +0 > P. 1:2001(2000) ack 1
      +0 > P. 2001:3001(1000) ack 1
      +.05 < P. 1:501(500) ack 3001 win 257
      +0~+0.05 > . 3001:3001(0) ack 501
      +0 read(4, ..., 1000) = 500
      +0 %{ assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd }%
      +0 close(4) = 0
      +0 > F. 3001:3001(0) ack 501
      `,
      { ipVersion: ipVersion },
    )
    expect(result).toMatchObject({ outcome: 'passed', reason: '', line: null })
    expect(result.ladder.map(({ kind }) => kind).filter((kind) => kind === 'sent')).toHaveLength(5)
  })

  it('plays the client, with timestamps and a call that blocks while segments pass', async () => {
    const text = `
      0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
      +0...0.100 connect(3, ..., ...) = 0
      *  > S 0:0(0) <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>
      +.1 < S. 0:0(0) ack 1 win 5840 <mss 1460,sackOK,TS val 700 ecr 100,nop,wscale 7>
      +0 > . 1:1(0) ack 1 <nop,nop,TS val 200 ecr 700>
      +0...0.200 read(3, ..., 1000) = 1000
      +.2 < P. 1:1001(1000) ack 1 win 100 <nop,nop,TS val 900 ecr 200>
      +0~+.05 > . 1:1(0) ack 1001 <nop,nop,TS val 400 ecr 900>
    `
    expect(await told(text)).toBe('passed: ')
    expect(await told(`--tcp_ts_tick_usecs=1000\n${text}`)).toBe('passed: ')
    const late = text.replace('+0...0.200', '+0...0.150')
    expect(await told(late)).toMatch(/^failed in line 7: read returns: that is at 0.3000\d\d s, not at 0.2500\d\d s/)
    const slow = text.replace('val 400', 'val 490')
    expect(await told(`--tcp_ts_tick_usecs=1000\n${slow}`)).toMatch(/^failed in line 10: options/)
  })
})

describe('a script that does not hold', () => {
  it('names the line, what was expected, what came and when, and shows the exchange', async () => {
    const result = await run(`${SERVER}\n\n+0 > P. 1:1002(1001) ack 1\n`)
    expect(result).toMatchObject({ outcome: 'failed', line: 12, expected: 'P. 1:1002(1001) ack 1' })
    expect(formatResult('x.pkt', result).split('\n').slice(0, 3)).toEqual([
      'FAILED  x.pkt:12 [ipv4]: nothing was sent until 2.100090 s',
      '  expected: P. 1:1002(1001) ack 1',
      '  the exchange so far:',
    ])
  })

  it.each([
    ['+0 > P. 1:1001(1000) ack 1', '+0 > . 1:1001(1000) ack 1', 'flags . expected, P. came'],
    ['+0 > P. 1:1001(1000) ack 1', '+0 > P. 2:1002(1000) ack 1', 'sequence number 2 expected, 1 came'],
    ['+0 > P. 1:1001(1000) ack 1', '+0 > P. 1:1001(1000) ack 2', 'acknowledgment 2 expected, 1 came'],
    ['+0 > P. 1:1001(1000) ack 1', '+0 > P. 1:501(500) ack 1', 'payload of 500 expected, 1000 came'],
    ['+0 > P. 1:1001(1000) ack 1', '+0 > P. 1:1001(1000) ack 1 win 9', 'window 9 expected'],
    ['+0 > P. 1:1001(1000) ack 1', '+0 > P. 1:1001(1000) ack 1 <nop,nop>', 'options <nop,nop> expected, <> came'],
    ['+0 > P. 1:1001(1000) ack 1', '+0 > [ect0] P. 1:1001(1000) ack 1', 'ECN ect0 expected, noecn came'],
    ['+0 > P. 1:1001(1000) ack 1', '+.5 > P. 1:1001(1000) ack 1', 'the packet is at 0.100080 s, not at 0.600090 s'],
    ['write(4, ..., 1000) = 1000', 'write(4, ..., 1000) = 999', 'write: returns 999 expected, 1000 came'],
    ['write(4, ..., 1000) = 1000', 'write(9, ..., 1000) = 1000', 'write: returns 1000 expected, -1 EBADF came'],
    ['write(4, ..., 1000) = 1000', 'read(4, ..., 1000) = 1000', 'read does not return'],
    ['write(4, ..., 1000) = 1000', '%{ assert tcpi_unacked == 7, tcpi_unacked }%', 'assert tcpi_unacked == 7'],
    ['write(4, ..., 1000) = 1000', '`grep x`', 'the command ends with status 1'],
  ])('%s as %s', async (from, to, reason) => {
    const text = `${SERVER} +0 write(4, ..., 1000) = 1000\n+0 > P. 1:1001(1000) ack 1\n`
    expect(await told(text)).toBe('passed: ')
    expect(await told(text.replace(from, to))).toContain(reason)
  })
})

describe('a script that cannot be run', () => {
  it.each([
    ['`reboot`', 'unsupported: the command reboot'],
    ['`sysctl -q net.ipv4.tcp_magic=1`', 'unsupported: the setting net.ipv4.tcp_magic'],
    ['`./missing.sh`', 'unsupported: ./missing.sh cannot be read'],
    ['--wire_client\n', 'unsupported: --wire_client'],
  ])('%s', async (head, expected) => {
    expect(await told(`${head}\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3`)).toBe(expected)
  })

  it('an unknown system call', async () => {
    expect(await told('0 ptrace(1) = 0')).toBe('unsupported in line 1: the system call ptrace')
  })

  it.each([
    ['', 'an event expected, the end of the script came'],
    ['// nothing', 'an event expected, the end of the script came'],
    ['hello world', 'a time expected, hello came'],
    ['0 close(3) = -1 EBADF (Bad file', ') expected, the end of the script came'],
    ['0 < S 0:0(0) win 65536', '65536 is no number for a window: 0 to 65535'],
    ['0 < S 0:0(0) win 1 <mss 70000>', '70000 is no number for an MSS: 0 to 65535'],
    ['0 < 1 > 65536 S 0:0(0) win 1', '65536 is no number for a port: 0 to 65535'],
    ['0 < S 0:0(0) win 1 <mss>', 'a whole number expected, > came'],
    ['99999999 close(3) = 0', 'a time is no longer than 10000000 s'],
  ])('%j has failed', async (text, reason) => {
    expect(await told(text)).toBe(`failed in line 1: ${reason}`)
  })

  it.each([
    ['0 write(9, ..., 99999999999) = 1', 'a buffer of 99999999999 bytes'],
    ['0 writev(9, [{..., 99999999999}], 1) = 1', 'a buffer of 99999999999 bytes'],
    ['0 `dd if=/dev/zero of=x bs=1`', 'dd if=/dev/zero of=x bs=1'],
  ])('%s is too much', async (text, reason) => {
    expect(await told(text)).toBe(`unsupported in line 1: ${reason}`)
  })

  it('one that makes no sense has failed', async () => {
    expect(await told('0 socket(')).toMatch(/^failed in line 1: /)
    expect(await told('0 > . 1:1(0) ack 1')).toBe('failed in line 1: the packet belongs to no socket')
  })
})

describe('commands', () => {
  it('set what sysctl sets, in included scripts too, and restore it', async () => {
    const text = `\`./defaults.sh
../common/set_sysctls.py /proc/sys/net/ipv4/tcp_sack=0\`
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
   +0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
   +0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
   +0 > S 0:0(0) <mss 1460,nop,wscale 7>
   +0 \`/tmp/sysctl_restore_1.sh\`
   +0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 4
   +0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0
   +0 connect(4, ..., ...) = -1 EINPROGRESS (Operation now in progress)
   +0 > S 0:0(0) <mss 1460,nop,nop,sackOK,nop,wscale 7>`
    const readFile = (name: string): string | null =>
      name === './defaults.sh' ? 'sysctl -q net.ipv4.tcp_timestamps=0 # off\n' : null
    expect(await told(text, { readFile })).toBe('passed: ')
  })
})

it('leaves nothing behind', async () => {
  const worlds: World[] = []
  await run(`${SERVER} +0 write(4, ..., 5000) = 5000`, { onLink: (_port, world) => worlds.push(world) })
  expect(worlds.map(({ frames, loop }) => [frames.inUse, loop.timers.size])).toEqual([[0, 0]])
})

it('a call that blocks has to be over when the next one begins, and at the end', async () => {
  const wait = `${SERVER} +0...0.100 read(4, ..., 100) = 100\n`
  expect(await told(`${wait} +0 read(4, ..., 100) = 0`)).toBe(
    'failed in line 10: read has not returned when another call begins',
  )
  expect(await told(wait)).toBe('failed in line 10: read has not returned when the script ends')
})
