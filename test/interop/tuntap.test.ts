/**
 * TUN and TAP devices against the kernel, in network namespaces of its own. Needs root, /dev/net/tun, iproute2 and
 * iputils-ping. What is measured is printed.
 *
 * Each device is opened by a child process in the namespace, which runs the compiled code: see tuntap-programs.ts.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { LinkFeatures } from '../../src/link/port.ts'
import { copyCommand } from '../support/netns.ts'
import { type Orders, PATHS, peer, responder, toyTcp, workers } from './tuntap-programs.ts'

let directory = ''
let namespace = ''
let count = 0
const children: Device[] = []

/** Runs a command in the namespace. @returns what it printed */
const run = (...command: string[]): string => {
  const { status, stdout, stderr } = spawnSync('ip', ['netns', 'exec', namespace, ...command], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}${stdout}`)
  return stdout
}

/** What children say, a line each. */
interface Event {
  ready?: string
  features?: LinkFeatures
  carrier?: boolean
  error?: string
  closed?: boolean
  inUse?: number
  stats?: { wakes: number; spins: number; received: number; sent: number; drops: object }
  cpu?: { user: number; system: number }
  taken?: number
  given?: number
  wrong?: number
  gigabits?: number
}

/** A child with a device. */
class Device {
  readonly process: ChildProcess
  readonly events: Event[] = []
  readonly exit: Promise<number | null>

  constructor(orders: Partial<Orders> = {}, prefix: string[] = []) {
    const all = { ...DEFAULTS, ...orders }
    const command = ['netns', 'exec', namespace, ...prefix, process.execPath, join(directory, 'responder.js')]
    this.process = spawn('ip', [...command, JSON.stringify(all)], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.exit = new Promise((resolve) => this.process.once('exit', resolve))
    createInterface(this.process.stdout!).on('line', (line) => this.events.push(JSON.parse(line) as Event))
    children.push(this)
  }

  /** The next event that has this field, from the `from`th event on. */
  async event(field: keyof Event, value?: unknown, from = 0): Promise<Event> {
    const end = performance.now() + 60_000
    for (;;) {
      const found = this.events
        .slice(from)
        .find((event) => field in event && (value === undefined || event[field] === value))
      if (found !== undefined) return found
      if (performance.now() > end) throw new Error(`no ${field} in ${JSON.stringify(this.events)}`)
      await sleep(5)
    }
  }

  async ready(): Promise<this> {
    const first = await Promise.race([this.event('ready'), this.event('error')])
    if ('error' in first) throw new Error(String(first.error))
    if (first.carrier !== true) await this.event('carrier', true)
    return this
  }

  async stats(): Promise<Required<Pick<Event, 'stats' | 'cpu'>>> {
    const from = this.events.length
    this.process.stdin!.write('stats')
    return (await this.event('stats', undefined, from)) as Required<Pick<Event, 'stats' | 'cpu'>>
  }

  /** Ends the child. @returns what it said last */
  async close(): Promise<Event> {
    this.process.stdin!.end()
    const said = await this.event('closed')
    expect(await this.exit).toBe(0)
    return said
  }
}

const DEFAULTS: Orders = { kind: 'tun', name: 'ng0', offload: true, addresses: ['10.77.0.1/24'], ref: true }

const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** Prints a measurement. */
const measured = (what: string): void => {
  process.stderr.write(`    measured: ${what}\n`)
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'netglass-tuntap-'))
  copyCommand(directory)
  const imports = Object.entries(PATHS).map(([name, path]) => `import * as ${name} from './dist/${path}.js'`)
  const program = (functions: string[], last: string): string =>
    [...imports, `const modules = { ${Object.keys(PATHS).join(', ')} }`, ...functions, last].join('\n')
  writeFileSync(
    join(directory, 'responder.js'),
    program(
      [`const toyTcp = ${toyTcp}`, `const responder = ${responder}`],
      'responder(modules, JSON.parse(process.argv[2]), toyTcp)',
    ),
  )
  writeFileSync(
    join(directory, 'peer.js'),
    `import net from 'node:net'\nconst peer = ${peer}\npeer(net, Number(process.argv[2]), Number(process.argv[3]))`,
  )
  writeFileSync(
    join(directory, 'workers.js'),
    `import * as threads from 'node:worker_threads'\nconst workers = ${workers}\n` +
      'workers(threads, process.argv[2], JSON.parse(process.argv[3]), 8)',
  )
})

afterAll(() => {
  rmSync(directory, { recursive: true })
})

beforeEach(() => {
  namespace = `ng-test-${process.pid}-${++count}`
  execFileSync('ip', ['netns', 'add', namespace])
})

afterEach(async () => {
  for (const child of children.splice(0)) {
    child.process.kill('SIGKILL')
    await child.exit
  }
  execFileSync('ip', ['netns', 'del', namespace])
})

/** Pings in the namespace. @returns replies, and the mean round trip in microseconds */
const ping = (...options: string[]): { received: number; mean: number } => {
  const out = run('ping', '-n', '-q', ...options)
  const received = Number(/(\d+) received/.exec(out)?.[1])
  return { received, mean: 1000 * Number(/ = [\d.]+\/([\d.]+)\//.exec(out)?.[1] ?? 0) }
}

describe('traffic', () => {
  test.each([
    ['tun', true],
    ['tun', false],
    ['tap', true],
    ['tap', false],
  ] as const)('%s, offload %s: answers pings', async (kind, offload) => {
    const device = await new Device({ kind, offload }).ready()
    expect(ping('-c', '20', '-i', '0.005', '10.77.0.2').received).toBe(20)
    expect(ping('-c', '5', '-i', '0.005', '-s', '1472', '10.77.0.2').received).toBe(5)
    const { stats } = await device.stats()
    expect(stats.drops).toEqual({})
    expect(stats.sent).toBeGreaterThanOrEqual(25)
    expect(await device.close()).toEqual({ closed: true, inUse: 0 })
    expect(spawnSync('ip', ['netns', 'exec', namespace, 'ip', 'link', 'show', 'ng0']).status).not.toBe(0)
  })

  test('IPv6, at once: the address is not detected first', async () => {
    const device = await new Device({ addresses: ['10.77.0.1/24', 'fd77::1/64'] }).ready()
    expect(ping('-6', '-c', '10', '-i', '0.005', 'fd77::2').received).toBe(10)
    await device.close()
  })

  test('an MTU of 9000 is set on both sides', async () => {
    const device = await new Device({ kind: 'tap', mtu: 9000 }).ready()
    expect((await device.event('ready')).features).toMatchObject({ mtu: 9000 })
    expect(ping('-c', '3', '-i', '0.005', '-M', 'do', '-s', '8972', '10.77.0.2').received).toBe(3)
    await device.close()
  })

  test('a flood of pings: none is lost, and waiting costs little', async () => {
    const device = await new Device().ready()
    ping('-f', '-c', '5000', '10.77.0.2')
    // The least of several: the machine may have had something else to do.
    let mean = Number.POSITIVE_INFINITY
    for (let i = 0; i < 5 && mean >= 500; i++) {
      const flood = ping('-f', '-c', '30000', '10.77.0.2')
      expect(flood.received).toBe(30_000)
      mean = Math.min(mean, flood.mean)
    }
    expect(mean).toBeLessThan(500)
    const { stats } = await device.stats()
    measured(`flood of pings: mean round trip ${mean} us, ${stats.wakes} wakes, ${stats.spins} looks`)
    await device.close()
  })

  test('an idle device costs nothing', async () => {
    const device = await new Device().ready()
    await sleep(1500)
    const before = (await device.stats()).cpu
    await sleep(5000)
    const after = (await device.stats()).cpu
    const share = (after.user + after.system - before.user - before.system) / 5e6
    measured(`idle: ${(100 * share).toFixed(2)} % of a processor`)
    expect(share).toBeLessThan(0.01)
    await device.close()
  })

  test.each(['tun', 'tap'] as const)('%s: bulk with segmentation offload, each way', async (kind) => {
    const device = await new Device({ kind }).ready()
    const sent = JSON.parse(run(process.execPath, join(directory, 'peer.js'), '9', '2')) as object
    const taken = await device.event('taken')
    const { stats: before } = await device.stats()
    expect(taken).toMatchObject({ wrong: 0 })
    expect(sent).toMatchObject({ wrong: 0 })
    const got = JSON.parse(run(process.execPath, join(directory, 'peer.js'), '19', '2')) as { bytes: number }
    const given = await device.event('given')
    expect(got).toMatchObject({ wrong: 0 })
    // What was under way when the peer had enough is not in its sum.
    expect(got.bytes / given.given!).toBeGreaterThan(0.5)
    measured(
      `${kind} bulk, against a Node socket: from the kernel ${Number(taken.gigabits).toFixed(1)} Gbit/s, ` +
        `to it ${Number(given.gigabits).toFixed(1)} Gbit/s`,
    )
    const { stats: after } = await device.stats()
    // Frames larger than the MTU, ACKs counted: that is offload, whatever else the machine does meanwhile.
    expect(taken.taken! / before.received).toBeGreaterThan(4000)
    expect(given.given! / (after.sent - before.sent)).toBeGreaterThan(4000)
    expect(after.drops).toEqual({})
    expect(await device.close()).toEqual({ closed: true, inUse: 0 })
  })
})

describe('the device changes', () => {
  test('down and up again', async () => {
    const device = await new Device().ready()
    const from = device.events.length
    run('ip', 'link', 'set', 'ng0', 'down')
    await device.event('carrier', false, from)
    run('ip', 'link', 'set', 'ng0', 'up')
    await device.event('carrier', true, from)
    expect(ping('-c', '3', '-i', '0.01', '10.77.0.2').received).toBe(3)
    expect(await device.close()).toEqual({ closed: true, inUse: 0 })
  })

  test.each([['tun'], ['tap']] as const)('%s removed: one line, no leak, no work', async (kind) => {
    const device = await new Device({ kind }).ready()
    const from = device.events.length
    run('ip', 'link', 'del', 'ng0')
    expect(await device.event('error')).toEqual({ error: 'device ng0 was removed' })
    expect(device.events.slice(from).map((event) => Object.keys(event)[0])).toEqual(['carrier', 'error'])
    const before = (await device.stats()).cpu
    await sleep(1000)
    const after = (await device.stats()).cpu
    expect(after.user + after.system - before.user - before.system).toBeLessThan(30_000)
    expect(openDescriptors(device)).not.toContain('/dev/net/tun')
    expect(await device.close()).toEqual({ closed: true, inUse: 0 })
  })

  test('removed under a flood', async () => {
    const device = await new Device().ready()
    const flood = spawn('ip', ['netns', 'exec', namespace, 'ping', '-f', '-q', '-c', '100000', '10.77.0.2'])
    await sleep(300)
    run('ip', 'link', 'del', 'ng0')
    expect(await device.event('error')).toEqual({ error: 'device ng0 was removed' })
    flood.kill()
    expect(await device.close()).toEqual({ closed: true, inUse: 0 })
  })

  test('moved to another namespace it works on, until it is removed there', async () => {
    const device = await new Device().ready()
    const other = `${namespace}-b`
    execFileSync('ip', ['netns', 'add', other])
    try {
      const from = device.events.length
      run('ip', 'link', 'set', 'ng0', 'netns', other)
      await device.event('carrier', true, from)
      const there = (...command: string[]): string =>
        execFileSync('ip', ['-n', other, ...command], { encoding: 'utf8' })
      there('addr', 'add', '10.77.0.1/24', 'dev', 'ng0')
      there('link', 'set', 'ng0', 'up')
      execFileSync('ip', ['netns', 'exec', other, 'ping', '-q', '-c', '3', '-i', '0.01', '10.77.0.2'])
      there('link', 'del', 'ng0')
      expect(await device.event('error')).toEqual({ error: 'device ng0 was removed' })
      await device.close()
    } finally {
      execFileSync('ip', ['netns', 'del', other])
    }
  })
})

const openDescriptors = (device: Device): string =>
  execFileSync('ls', ['-l', `/proc/${device.process.pid}/fd`], { encoding: 'utf8' })

describe('opening', () => {
  test('a device in use names who uses it', async () => {
    const device = await new Device().ready()
    const second = new Device()
    expect(await second.event('error')).toEqual({
      error: `device ng0 is in use by node (pid ${device.process.pid}): stop it or choose another name`,
    })
    expect(await second.exit).toBe(0)
    expect(ping('-c', '1', '10.77.0.2').received).toBe(1)
    await device.close()
  })

  test('a device that was made to stay is used, and stays', async () => {
    run('ip', 'tuntap', 'add', 'ng0', 'mode', 'tap')
    const device = await new Device({ kind: 'tap' }).ready()
    expect(ping('-c', '3', '-i', '0.01', '10.77.0.2').received).toBe(3)
    await device.close()
    expect(run('ip', 'link', 'show', 'ng0')).toContain('NO-CARRIER')
  })

  test('a device of the other kind is not', async () => {
    run('ip', 'tuntap', 'add', 'ng0', 'mode', 'tap')
    expect(await new Device({ kind: 'tun' }).event('error')).toEqual({
      error: "ng0 exists and is no tun device: choose another name, or run 'sudo ip link del ng0'",
    })
  })

  test('without permission it says what to run', async () => {
    const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
    const refused = String((await new Device({}, asNobody).event('error')).error)
    expect([
      "no permission to open /dev/net/tun: run this with sudo, or let everybody open it: 'sudo chmod 0666 /dev/net/tun'",
      "no permission to use tun device ng0: run this with sudo, or once 'sudo ip tuntap add dev ng0 mode tun user nobody'",
    ]).toContain(refused)
  })

  test('the kernel numbers devices where the name asks for it', async () => {
    const first = await new Device({ name: 'ng%d' }).ready()
    const second = await new Device({ name: 'ng%d', addresses: ['10.78.0.1/24'] }).ready()
    expect([(await first.event('ready')).ready, (await second.event('ready')).ready]).toEqual(['ng0', 'ng1'])
    await first.close()
    await second.close()
  })

  test('an open device does not keep the process alive by itself', async () => {
    const device = new Device({ ref: false })
    await device.event('ready')
    expect(await Promise.race([device.exit, sleep(60_000).then(() => 'still there')])).toBe(0)
  })

  test('workers can be terminated in the middle of traffic', async () => {
    const out = new Promise<string>((resolve, reject) => {
      const program = [join(directory, 'workers.js'), join(directory, 'responder.js'), JSON.stringify(DEFAULTS)]
      const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, ...program])
      let text = ''
      child.stdout.on('data', (chunk) => {
        text += chunk
      })
      child.stderr.on('data', (chunk) => reject(new Error(String(chunk))))
      child.once('exit', () => resolve(text))
    })
    let ended = false
    void out.finally(() => {
      ended = true
    })
    while (!ended) {
      spawnSync('ip', ['netns', 'exec', namespace, 'timeout', '0.2', 'ping', '-q', '-f', '10.77.0.2'])
      await sleep(1)
    }
    expect(await out).toBe('outlived')
  })
})

describe('the kernel’s side', () => {
  /** Runs a few lines with `links`, a KernelLinks, in the namespace. @returns what they give, through JSON */
  const inKernel = (lines: string): unknown => {
    const file = join(directory, 'lines.js')
    writeFileSync(
      file,
      `import { KernelLinks } from './dist/node/ifconfig.js'
       import { parseIpPrefix as prefix } from './dist/wire/address.js'
       const links = new KernelLinks()
       const show = (a) => ({ ...a, prefix: a.prefix.address + '/' + a.prefix.length })
       const attempt = (f) => { try { f(); return 'done' } catch (error) { return error.code + ': ' + error.message } }
       const result = (() => { ${lines} })()
       links.close()
       process.stdout.write(JSON.stringify(result))`,
    )
    return JSON.parse(run(process.execPath, file))
  }

  test('interfaces and addresses are listed, set and deleted as ip(8) sees them', () => {
    run('ip', 'tuntap', 'add', 'ng0', 'mode', 'tap')
    const result = inKernel(`
      links.setMtu('ng0', 1400)
      links.addAddress('ng0', prefix('10.77.0.1/24'))
      links.addAddress('ng0', prefix('10.77.0.1/24'))
      links.addAddress('ng0', prefix('10.77.1.1/32'))
      links.addAddress('ng0', prefix('fd77::1/64'))
      links.removeAddress('ng0', prefix('10.77.1.1/32'))
      links.setUp('ng0', true)
      return { names: links.links().map((l) => l.name), link: links.get('ng0'), none: links.find('ng1') ?? null,
        byIndex: links.find(1).name, addresses: links.addresses('ng0').map(show) }`)
    expect(result).toMatchObject({
      names: ['lo', 'ng0'],
      link: { name: 'ng0', up: true, mtu: 1400, kind: 'tun' },
      none: null,
      byIndex: 'lo',
      addresses: [
        { prefix: '10.77.0.1/24', tentative: false, duplicate: false },
        { prefix: 'fd77::1/64', tentative: false, duplicate: false },
      ],
    })
    const [link] = JSON.parse(run('ip', '-j', 'addr', 'show', 'ng0')) as [{ addr_info: object[] }]
    expect(link).toMatchObject({ mtu: 1400, flags: expect.arrayContaining(['UP']) })
    expect(link.addr_info).toMatchObject([
      { family: 'inet', local: '10.77.0.1', prefixlen: 24, broadcast: '10.77.0.255' },
      { family: 'inet6', local: 'fd77::1', prefixlen: 64, nodad: true },
    ])
    expect(inKernel("links.setUp('ng0', false); return links.get('ng0').up")).toBe(false)
  })

  test('what cannot be done is said in the kernel’s words, where it has any', () => {
    run('ip', 'tuntap', 'add', 'ng0', 'mode', 'tap')
    run('sysctl', '-qw', 'net.ipv6.conf.ng0.disable_ipv6=1')
    expect(
      inKernel(`return [
        attempt(() => links.setMtu('ng0', 7)),
        attempt(() => links.setUp('nope', true)),
        attempt(() => links.removeAddress('ng0', prefix('10.9.9.9/24'))),
        attempt(() => links.addAddress('ng0', prefix('fd77::1/64'))),
        attempt(() => links.addAddress('ng0', prefix('10.0.0.1/24')))]`),
    ).toEqual([
      'EINVAL: cannot set the MTU of ng0 to 7: mtu less than device minimum (EINVAL)',
      'ENODEV: there is no interface nope',
      expect.stringMatching(/^EADDRNOTAVAIL: cannot take the address 10\.9\.9\.9\/24 from ng0: /),
      expect.stringMatching(/^(EACCES|EOPNOTSUPP): IPv6 is off on ng0: 'sudo sysctl /),
      'done',
    ])
  })

  test('more interfaces than fit in one answer', () => {
    const file = join(directory, 'batch')
    writeFileSync(file, Array.from({ length: 200 }, (_, i) => `tuntap add d${i} mode tap\n`).join(''))
    run('ip', '-batch', file)
    expect(inKernel('return links.links().length')).toBe(201)
  })

  test('without permission it says what to run', () => {
    run('ip', 'tuntap', 'add', 'ng0', 'mode', 'tap')
    const file = join(directory, 'denied.js')
    writeFileSync(
      file,
      `import { configureHostSide } from './dist/node/ifconfig.js'
       import { parseIpPrefix } from './dist/wire/address.js'
       try { configureHostSide('ng0', { addresses: [parseIpPrefix('10.77.0.1/24')] }) }
       catch (error) { process.stdout.write(error.message) }`,
    )
    expect(run('setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, file)).toBe(
      "no permission to set up ng0: run 'sudo ip addr replace 10.77.0.1/24 dev ng0 && sudo ip link set ng0 up', or this with sudo",
    )
  })
})
