import { describe, expect, test } from 'vitest'
import { parseScript } from './parser.ts'
import { fieldOf, type PacketSpec, ScriptError, type SyscallSpec, type TcpSpec, Unsupported } from './script.ts'

const eventOf = (text: string) => parseScript(`0 \`true\`\n${text}`).events[1]!
const tcpOf = (text: string): TcpSpec => (eventOf(text).action as PacketSpec).body as TcpSpec
const callOf = (text: string): SyscallSpec => eventOf(text).action as SyscallSpec

describe('the script', () => {
  test('flags, the first command, events and the last command', () => {
    const script = parseScript(`--mss=1000 // why
--local_ip=fd00::1
--ip_version=ipv4-mapped-ipv6
--strict_segments
/* a
 comment */ \`first\`
0 \`second\`
\`last\``)
    expect(script.flags).toEqual([
      { name: 'mss', value: '1000' },
      { name: 'local_ip', value: 'fd00::1' },
      { name: 'ip_version', value: 'ipv4-mapped-ipv6' },
      { name: 'strict_segments', value: null },
    ])
    expect(script.init).toBe('first')
    expect(script.initLine).toBe(6)
    expect(script.cleanup).toBe('last')
    expect(script.events.map(({ line, action }) => [line, action])).toEqual([[7, { kind: 'command', text: 'second' }]])
  })

  test.each([
    ['1.5', { kind: 'absolute', start: 1_500_000, end: 1_500_000 }],
    ['+.000001', { kind: 'relative', start: 1, end: 1 }],
    ['*', { kind: 'any', start: 0, end: 0 }],
    ['1~2', { kind: 'absolute-range', start: 1_000_000, end: 2_000_000 }],
    ['+.01~+.02', { kind: 'relative-range', start: 10_000, end: 20_000 }],
  ])('the time %s', (text, time) => {
    expect(eventOf(`${text} close(3) = 0`).time).toEqual(time)
  })

  test('an error names its line', () => {
    expect(() => parseScript('0 `a`\n+0 < S 0:0(0) <mss 1>')).toThrow(ScriptError)
    // An explanation of an error that does not end.
    expect(() => parseScript('0 read(3, ..., 1) = -1 EAGAIN (Resource')).toThrow(
      ') expected, the end of the script came',
    )
    // What it quotes may be a whole snippet: the message stays one line.
    expect(() => parseScript('0 accept %{ a\nb }% = 3')).toThrow(/^[^\n]+ …$/)
    expect(() => parseScript('0 `a`\n+0 > . 1:5(9) ack 1')).toThrow('1:5 are not 9 bytes')
    expect(() => parseScript('0 > gre: . 1:1(0)')).toThrow(Unsupported)
  })
})

describe('packets', () => {
  test('a segment with every field', () => {
    expect(tcpOf('+0 < [ect0] PU. 4294967295:9(10) ack 7 win 32 urg 3 <mss 9,TS val 4 ecr 5,sack 1:2 3:4>')).toEqual({
      protocol: 'tcp',
      ports: null,
      flags: 'PU.',
      seq: 4294967295,
      length: 10,
      ack: 7,
      window: 32,
      urgent: 3,
      options: [
        { name: 'mss', values: [9], blob: null },
        { name: 'TS', values: [4, 5], blob: null },
        { name: 'sack', values: [1, 2, 3, 4], blob: null },
      ],
    })
  })

  test('no flags, options that do not matter, cookies', () => {
    expect(tcpOf('+0 < - 1:1(0) win 5').flags).toBe('')
    expect(tcpOf('+0 > S 0:0(0) <...>').options).toBeNull()
    expect(tcpOf('+0 > S 0:0(0) <FO 0012,FOEXP>').options).toEqual([
      { name: 'FO', values: [], blob: Uint8Array.of(0, 0x12) },
      { name: 'FOEXP', values: [], blob: null },
    ])
  })

  test('ICMP quotes a range', () => {
    expect((eventOf('+0 < icmp unreachable frag_needed mtu 1200 [1:11(10)]').action as PacketSpec).body).toEqual({
      protocol: 'icmp',
      type: 'unreachable',
      code: 'frag_needed',
      mtu: 1200,
      id: 0,
      quoted: { protocol: 'tcp', seq: 1, length: 10 },
    })
  })
})

describe('system calls', () => {
  test('one that blocks and fails', () => {
    const call = callOf('+0...0.25 read(4, ..., 0x10) = -1 EAGAIN (Try again)')
    expect(call).toMatchObject({ name: 'read', end: 250_000, errno: 'EAGAIN', text: 'read(4, ..., 0x10) = -1 EAGAIN' })
    expect(call.args[2]).toEqual({ kind: 'integer', value: 16 })
  })

  test('structures', () => {
    const [, message] = callOf('+0 recvmsg(3, {msg_name(...)=..., msg_iov(1)=[{..., 5}], msg_flags=A|B}, 0) = 5').args
    expect(fieldOf(message!, 'msg_flags')).toEqual({
      kind: 'or',
      terms: [
        { kind: 'word', name: 'A' },
        { kind: 'word', name: 'B' },
      ],
    })
  })
})
