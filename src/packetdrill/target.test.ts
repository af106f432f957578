import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Micros, VirtualClock } from '../core/clock.ts'
import type { Frame } from '../core/frame.ts'
import { SeededRandom } from '../core/random.ts'
import { World } from '../core/world.ts'
import { Host } from '../host/host.ts'
import { snapshot } from '../inspect/snapshot.ts'
import type { LinkFeatures, LinkPort, LinkUser } from '../link/port.ts'
import { VirtualDriver } from '../sim/driver.ts'
import { Network } from '../sim/network.ts'
import { parseIpPrefix } from '../wire/address.ts'
import { EtherType } from '../wire/ethernet.ts'
import { formatResult, type PacketdrillSetup, type PacketdrillTarget, runPacketdrill, versionsOf } from './index.ts'

const SERVER = `
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
   +0 bind(3, ..., ...) = 0
   +0 listen(3, 1) = 0
   +0 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>
   +0 > S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK,nop,wscale 7>
  +.1 < . 1:1(0) ack 1 win 257
   +0 accept(3, ..., ...) = 4
   +0 write(4, ..., 1000) = 1000
   +0 > P. 1:1001(1000) ack 1
`

describe("a host of the caller's", () => {
  it('is tested with its own settings, in its own network, again and again, and keeps nothing of it', async () => {
    const network = new Network()
    const host = network.host('server', { sysctl: { 'net.ipv4.tcp_sack': 0 } })
    network.link(host, network.host('client'))
    await network.run(5000)
    const { timers } = network.world.loop
    const look = () => ({ sockets: snapshot(host).sockets, routes: snapshot(host).routes, timers: timers.size })
    const before = look()
    const resumed = host.onResume
    const { reason } = await runPacketdrill(SERVER, host)
    expect(reason).toBe('options <mss 1460,nop,nop,sackOK,nop,wscale 7> expected, <mss 1460,nop,wscale 7> came')
    const withoutSack = SERVER.replace('mss 1460,nop,nop,sackOK', 'mss 1460')
    for (const ipVersion of ['ipv4', 'ipv4-mapped-ipv6', 'ipv6', 'ipv4'] as const) {
      const result = await runPacketdrill(withoutSack, host, { ipVersion })
      expect(formatResult('x', result)).toBe(`PASSED  x [${ipVersion}]`)
    }
    await network.run(120_000)
    expect(look()).toEqual(before)
    expect(host.onResume).toBe(resumed)
    expect(network.world.frames.inUse).toBe(0)
  })

  it('cannot be one in real time', async () => {
    const world = new World({ now: () => 0, epoch: 0 }, new SeededRandom(1))
    await expect(runPacketdrill(SERVER, new Host(world, 'live'))).rejects.toThrow(
      'the host live lives in real time: scripts need virtual time',
    )
  })
})

/** A stack that only the adaptor knows: one of ours, in another world, whose packets go in and out as bytes. */
class OtherStack implements PacketdrillTarget {
  readonly clock = new VirtualClock()
  readonly world = new World(this.clock, new SeededRandom(7))
  readonly driver = new VirtualDriver(this.world, this.clock)
  readonly host = new Host(this.world, 'other', { sysctl: { 'net.ipv6.conf.all.dad_transmits': 0 } })
  readonly process = this.host.spawn('program', (sys) => sys.waitForSignal())
  readonly calls = this.process.sys
  readonly setups: PacketdrillSetup[] = []
  isClosed = false
  private user: LinkUser | null = null

  attach(setup: PacketdrillSetup, send: (packet: Uint8Array) => void): void {
    this.setups.push(setup)
    this.host.onResume = () => this.driver.noteResumed()
    const port = new BytesPort(this.world, setup.mtu, send)
    const { local, prefixLength, remote } = setup
    const added = this.host.addInterface('tun0', port, [`${local}/${prefixLength}`])
    const everywhere = parseIpPrefix(local.includes(':') ? '::/0' : '0.0.0.0/0')!
    this.host.ip.routes.add({ prefix: everywhere, interface: added })
    expect(remote).toMatch(/^(192\.0\.2\.1|fd3d:fa7b:d17d::1|2001:db8::1)$/)
    this.clock.advanceTo(2_000_500)
    this.world.loop.turn()
    port.silent = false
    this.user = port.user
  }

  receive(packet: Uint8Array): void {
    const frame = this.world.frames.allocate(packet.length)!
    this.world.memory.u8.set(packet, frame.start)
    frame.end = frame.start + packet.length
    frame.etherType = packet[0]! >>> 4 === 6 ? EtherType.Ipv6 : EtherType.Ipv4
    this.user!.receive(frame)
  }

  now(): Micros {
    return this.clock.now()
  }

  async run(time: Micros, done: () => boolean): Promise<void> {
    this.driver.noteResumed()
    await this.driver.run(time, done)
  }

  close(): void {
    this.isClosed = true
    this.host.close()
  }
}

class BytesPort implements LinkPort {
  readonly features: LinkFeatures
  readonly carrier = true
  readonly taps = []
  user: LinkUser | null = null
  silent = true
  private readonly world: World
  private readonly out: (packet: Uint8Array) => void

  constructor(world: World, mtu: number, out: (packet: Uint8Array) => void) {
    this.features = { medium: 'ip', mtu, maxSegmentedPacket: 0, checksumOffload: false, fcs: false }
    this.world = world
    this.out = out
  }

  send(frame: Frame): void {
    const packet = this.world.memory.u8.slice(frame.start, frame.end)
    this.world.frames.release(frame)
    if (!this.silent) this.out(packet)
  }
}

describe("somebody else's stack", () => {
  it('runs the scripts that a host runs: packets as bytes, its own clock, its own calls', async () => {
    const folder = join(import.meta.dirname, '../../test/conformance/rfc5681')
    const outcomes: string[] = []
    for (const name of readdirSync(folder)) {
      const text = readFileSync(join(folder, name), 'utf8')
      for (const ipVersion of versionsOf(name)) {
        const stack = new OtherStack()
        const result = await runPacketdrill(text, stack, { ipVersion })
        if (result.outcome === 'failed') expect.fail(formatResult(name, result))
        outcomes.push(result.outcome === 'passed' ? 'passed' : result.reason)
        expect(stack.isClosed).toBe(true)
      }
    }
    expect(outcomes.filter((one) => one === 'passed').length).toBeGreaterThanOrEqual(15)
    // What they set with sysctl is for the stack to know.
    expect(outcomes.filter((one) => one !== 'passed' && !one.startsWith('the command sysctl'))).toEqual([])
  })

  it('is told how it is to be set up, and runs commands if it can', async () => {
    const stack: PacketdrillTarget = new OtherStack()
    const commands: string[] = []
    stack.command = (text) => {
      commands.push(text)
      return text.includes('known') ? 0 : null
    }
    const text = `--mtu=1400\n\`known\`\n${SERVER.replaceAll('1460', '1360')}+0 \`other\``
    const result = await runPacketdrill(text, stack)
    expect(result).toMatchObject({ outcome: 'unsupported', line: 13, reason: 'the command other' })
    expect((stack as OtherStack).setups).toEqual([
      { local: '192.168.0.1', prefixLength: 16, remote: '192.0.2.1', mtu: 1400, ipVersion: 'ipv4' },
    ])
    expect(commands).toEqual(['known', 'other'])
  })

  it('has its errors by their names, and what it has not is unsupported', async () => {
    const told = async (text: string, calls: PacketdrillTarget['calls']): Promise<string> => {
      let now = 0
      const { outcome, reason } = await runPacketdrill(text, {
        attach() {},
        receive() {},
        now: () => now,
        run: async (time) => {
          now = Math.max(now, time)
        },
        calls,
      })
      return `${outcome}: ${reason}`
    }
    const refuse = (code: string) => (): never => {
      throw Object.assign(new Error('no'), { code })
    }
    const text = '0 socket(..., SOCK_STREAM, IPPROTO_TCP) = -1 EACCES (Permission denied)'
    expect(await told(text, { socket: refuse('EACCES') })).toBe('passed: ')
    expect(await told(text, { socket: refuse('EPERM') })).toBe(
      'failed: socket: returns -1 EACCES expected, -1 EPERM came',
    )
    expect(await told(text, {})).toBe('unsupported: the stack under test has no socket')
    await expect(told(text, { socket: refuse('EWHATEVER') })).rejects.toThrow('no')
  })
})
