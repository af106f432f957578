/**
 * `netglass up` and `netglass fetch` against the kernel and its programs, in network
 * namespaces of their own. Needs root, /dev/net/tun, iproute2, iputils-ping, curl,
 * traceroute, netcat-openbsd, socat, nginx, iperf3 and tshark. What is measured is printed.
 */
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { copyCommand, Namespace, type Result, type Running } from '../support/netns.ts'

const GIB = 0x4000_0000
const MIB = 0x10_0000

let directory = ''
let files = ''
let runtime = ''
let command = ''
/** SHA-256 of the large and of the middle file. */
let large = ''
let middle = ''
let namespace: Namespace
let count = 0

const measured = (line: string): boolean => process.stdout.write(`    measured: ${line}\n`)
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Makes a file in which no two megabytes are the same. @returns its SHA-256 */
const makeFile = (path: string, bytes: number): string => {
  const block = randomBytes(MIB)
  const hash = createHash('sha256')
  const fd = openSync(path, 'w')
  for (let at = 0; at < bytes; at += MIB) {
    block.writeUInt32BE(at >>> 20)
    hash.update(block)
    writeSync(fd, block)
  }
  closeSync(fd)
  return hash.digest('hex')
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'netglass-up-'))
  command = copyCommand(directory)
  files = join(directory, 'files')
  runtime = join(directory, 'run')
  mkdirSync(files)
  mkdirSync(runtime, { mode: 0o700 })
  large = makeFile(join(files, 'large'), GIB)
  middle = makeFile(join(files, 'middle'), 16 * MIB)
})

afterAll(() => {
  rmSync(directory, { recursive: true })
})

const newNamespace = (): Namespace => new Namespace(`ng-up-${process.pid}-${++count}`, { XDG_RUNTIME_DIR: runtime })

/** The arguments that all stacks here have in common. */
const addresses = [
  '--ip',
  '10.77.0.2/24',
  '--host-ip',
  '10.77.0.1/24',
  '--ip6',
  'fd77::2/64',
  '--host-ip',
  'fd77::1/64',
]

/** Starts `netglass up` and waits until it is. */
const up = async (...args: string[]): Promise<Running> => {
  const running = namespace.start(process.execPath, command, 'up', ...args)
  await running.printed(/ is up: /)
  return running
}

const netglass = (...args: string[]): Promise<Result> => namespace.attempt(process.execPath, command, ...args)

const tool = async (...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await netglass(...args)
  expect(stderr).toBe('')
  expect(code).toBe(0)
  return stdout
}

/** Connections of the running stack that are neither listening nor in TIME_WAIT. */
const connections = async (): Promise<string[]> =>
  (await tool('netstat', '-ant')).split('\n').filter((line) => line.startsWith('tcp') && !/LISTEN|TIME_WAIT/.test(line))

/** Waits until there are none. */
const expectNoConnections = async (): Promise<void> => {
  for (let i = 0; i < 20 && (await connections()).length > 0; i++) await sleep(100)
  expect(await connections()).toEqual([])
}

/** What a stack leaves behind: interfaces, control sockets, unfinished files. */
const leftovers = async (): Promise<string[]> => [
  ...(await namespace.links()),
  ...(existsSync(join(runtime, 'netglass')) ? readdirSync(join(runtime, 'netglass')) : []),
  ...readdirSync(files).filter((name) => name.endsWith('.part')),
]

/** `length` characters of chargen's text (RFC 864) from position `at` on: 95 lines of 72 characters, over and over. */
const chargenText = (at: number, length: number): string =>
  Array.from({ length }, (_, i) => {
    const column = (at + i) % 74
    const line = Math.floor((at + i) / 74) % 95
    return column < 72 ? String.fromCharCode(32 + ((line + column) % 95)) : '\r\n'[column - 72]!
  }).join('')

/** Downloads. @returns the SHA-256 of what came */
const download = async (url: string, ...options: string[]): Promise<string> =>
  (await namespace.shell(`curl -sS ${options.join(' ')} '${url}' | sha256sum`)).split(' ')[0]!

const gigabits = (bytes: number, ms: number): string => `${((bytes * 8) / ms / 1e6).toFixed(2)} Gbit/s`

describe.each(['tun', 'tap'] as const)('a stack of two workers, %s', (kind) => {
  let stack: Running

  beforeAll(async () => {
    namespace = newNamespace()
    const services = `http:${files},echo,iperf3,iperf3:5202`
    stack = await up(`--${kind}`, 'ng0', ...addresses, '--serve', services, '--workers', '2')
  })

  afterAll(async () => {
    expect(await stack.end('SIGTERM')).toMatchObject({ code: 0, stderr: '' })
    expect(await leftovers()).toEqual([])
    await namespace.remove()
  })

  test('both take connections, and are shown as one', async () => {
    const clients = Array.from({ length: 24 }, () => namespace.start('nc', '10.77.0.2', '7'))
    clients.forEach((client, i) => {
      client.process.stdin?.write(`${i}\n`)
    })
    await Promise.all(clients.map((client, i) => client.printed(new RegExp(`^${i}$`, 'm'))))
    const rows = (await tool('netstat', '-antp'))
      .split('\n')
      .filter((line) => / 10\.77\.0\.2:7 .*ESTABLISHED/.test(line))
    expect(rows).toHaveLength(24)
    const holders = rows.map((row) => / (\d+)\/echo/.exec(row)?.[1])
    expect(new Set(holders).size).toBe(2)
    expect((await tool('ss', '-lnt')).match(/:7 /g)).toHaveLength(2)
    expect(await tool('netstat', '-s')).toMatch(/^ +24 passive connection openings$/m)
    // Longer than the kernel remembers where a flow belongs: its hash leads there all the same.
    await sleep(3500)
    for (const client of clients) client.process.stdin?.write('again\n')
    await Promise.all(clients.map((client) => client.printed(/again/)))
    for (const client of clients) client.process.stdin?.end()
    for (const client of clients) await client.end()
    await expectNoConnections()
  })

  test('files, pings, and services that one worker has alone', async () => {
    expect(await download('http://10.77.0.2/large')).toBe(large)
    expect(await download('http://[fd77::2]/middle')).toBe(middle)
    await namespace.run('ping', '-q', '-c', '3', '-i', '0.1', '10.77.0.2')
    await namespace.run('ping', '-q', '-c', '3', '-i', '0.1', 'fd77::2')
    // The first service of this kind is the first worker's, the next the second's.
    for (const options of [[], ['-R'], ['-p', '5202', '-P', '4']]) {
      const out = await namespace.run('iperf3', '-c', '10.77.0.2', '-n', '512M', '-J', ...options)
      const { end } = JSON.parse(out) as { end: { sum_received: { bits_per_second: number; bytes: number } } }
      expect(end.sum_received.bytes).toBeGreaterThan(2 ** 28)
      measured(
        `${kind}, two workers: iperf3 ${options.join(' ')}: ${(end.sum_received.bits_per_second / 1e9).toFixed(2)} Gbit/s`,
      )
    }
    await expectNoConnections()
  })

  test('tcpdump sees the packets of both', async () => {
    const watcher = namespace.start(process.execPath, command, 'tcpdump', '-n', '-c', '60', 'port', '7')
    await watcher.printed(/listening on/)
    const clients = Array.from({ length: 16 }, () => namespace.start('nc', '10.77.0.2', '7'))
    clients.forEach((client, i) => {
      client.process.stdin?.write(`${i}\n`)
    })
    await Promise.all(clients.map((client, i) => client.printed(new RegExp(`^${i}$`, 'm'))))
    const { stdout } = await watcher.ended
    const lines = stdout.trimEnd().split('\n')
    expect(lines).toHaveLength(60)
    const times = lines.map((line) => line.split(' ')[0])
    expect([...times].sort()).toEqual(times)
    for (const client of clients) client.process.stdin?.end()
    for (const client of clients) await client.end()
  })

  test('settings count for both, but for what is divided', async () => {
    expect(await tool('sysctl', '-w', 'net.ipv4.tcp_sack=0')).toBe('net.ipv4.tcp_sack = 0\n')
    const refused = await netglass('sysctl', '-w', 'net.ipv4.ip_local_port_range=1000 2000')
    expect([refused.code, refused.stderr]).toEqual([
      1,
      'netglass: net.ipv4.ip_local_port_range: the ports are divided among the workers\n',
    ])
  })
})

test.each(['tun', 'tap'] as const)('a capture of two workers, %s: every packet, in order of time', async (kind) => {
  namespace = newNamespace()
  const file = join(directory, 'shards.pcapng')
  const options = [...addresses, '--serve', `http:${files},echo`, '--workers', '2', '--pcap', file]
  const stack = await up(`--${kind}`, 'ng0', ...options)
  const clients = Array.from({ length: 24 }, () => namespace.start('nc', '10.77.0.2', '7'))
  for (const client of clients) client.process.stdin?.write('hello\n')
  await Promise.all(clients.map((client) => client.printed(/hello/)))
  expect(await download('http://10.77.0.2/middle')).toBe(middle)
  for (const client of clients) client.process.stdin?.end()
  for (const client of clients) await client.end()
  await sleep(100)
  expect(await stack.end('SIGTERM')).toMatchObject({ code: 0, stderr: '' })
  const fields = (filter: string, field: string): string[] =>
    execFileSync('tshark', ['-r', file, '-Y', filter, '-T', 'fields', '-e', field], { encoding: 'utf8', stdio: 'pipe' })
      .trimEnd()
      .split('\n')
      .filter((line) => line !== '')
  expect(fields('frame.time_delta < 0', 'frame.number')).toEqual([])
  expect(fields('_ws.malformed || tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment', 'frame.number')).toEqual(
    [],
  )
  const isSyn = 'tcp.port == 7 && tcp.flags.syn == 1'
  expect(fields(isSyn, 'tcp.stream')).toHaveLength(48)
  expect(new Set(fields('tcp.port == 7 && tcp.payload && ip.src == 10.77.0.2', 'tcp.stream')).size).toBe(24)
  await namespace.remove()
})

describe('files arrive both ways, and pings are answered', () => {
  test.each([
    '--tun ng0 --without poll-handles,spin,batches',
    '--tun ng0 --without stream-reads,early-code',
    '--tun ng0 --without segmentation-offload,inlining,call-turns,microturns',
    '--tap ng0 --without checksum-offload',
    '--tun ng0 -K rx off',
    '--tap ng0 -K tx off gro off',
    '--tap ng0 --busy-poll 2000',
  ])('up %s', async (options) => {
    namespace = newNamespace()
    try {
      const stack = await up(...options.split(' '), ...addresses, '--serve', `http:${files}`)
      expect(await download('http://10.77.0.2/middle')).toBe(middle)
      expect(await download('http://[fd77::2]/middle')).toBe(middle)
      const put = await namespace.run('curl', '-sS', '-T', join(files, 'middle'), 'http://10.77.0.2/copy')
      expect(put).toBe('stored\n')
      expect(await download('http://10.77.0.2/copy')).toBe(middle)
      await namespace.run('ping', '-q', '-c', '3', '-i', '0.05', '10.77.0.2')
      expect(await tool('nstat', '-asz', 'TcpInCsumErrors')).toMatch(/^TcpInCsumErrors +0 /m)
      expect(await stack.end('SIGTERM')).toMatchObject({ code: 0, stderr: '' })
    } finally {
      rmSync(join(files, 'copy'), { force: true })
      await namespace.remove()
    }
  })
})

describe('connections that two workers open', () => {
  const PORT = 9000
  let server: Running

  beforeAll(async () => {
    namespace = newNamespace()
    const program = new URL('shard-server.py', import.meta.url).pathname
    server = namespace.start('python3', program, String(PORT))
    await server.printed(/listening/)
  })

  afterAll(async () => {
    await namespace.remove()
  })

  const counters = async (): Promise<{ resets: number; repeated: number }> => {
    const text = await namespace.run('nstat', '-asz', 'TcpOutRsts', 'TcpRetransSegs')
    const of = (name: string): number => Number(new RegExp(`${name} +(\\d+)`).exec(text)![1])
    return { resets: of('TcpOutRsts'), repeated: of('TcpRetransSegs') }
  }

  test.each([
    ['tun', 1500, 0],
    ['tap', 1500, 0],
    // Longer than the kernel remembers where a flow belongs: what comes by the hash is handed on.
    ['tun', 200, 3500],
  ] as const)('%s, %d each, silent for ms: %d', async (kind, count, pause) => {
    const program = new URL('shard-clients.mjs', import.meta.url).pathname
    const dist = join(directory, 'dist')
    const before = await counters()
    const running = namespace.start(process.execPath, program, dist, kind, String(PORT), String(count), String(pause))
    const { code, stdout, stderr } = await running.ended
    expect([code, stderr]).toEqual([0, ''])
    const shards = JSON.parse(stdout) as {
      opened: number
      errors: string[]
      resets: number
      repeated: number
      handedOn: number
    }[]
    const after = await counters()
    expect(shards.map(({ opened, errors }) => [opened, errors])).toEqual([
      [count, []],
      [count, []],
    ])
    // Half of the answers come to the wrong shard.
    for (const { handedOn } of shards) expect(handedOn).toBeGreaterThan(count / 10)
    expect(shards.map(({ resets }) => resets)).toEqual([0, 0])
    // TIME_WAIT acknowledges what comes again or late; the first ACK of the FIN has ended the kernel's connection, and
    // others are answered with a RST. The kernel repeats its FIN when a process gets no processor for 200 ms; and an ACK
    // that came to the wrong shard can be overtaken by the FIN behind it, while it is handed on. How many of those were
    // is seen by nobody, for each shard had its part in order: so this is a bound, not a count. That there is no RST of
    // ours is the exact half.
    const sum = (of: (shard: (typeof shards)[number]) => number): number => shards.reduce((all, s) => all + of(s), 0)
    const repeated = after.repeated - before.repeated + sum((shard) => shard.repeated)
    expect(after.resets - before.resets).toBeLessThanOrEqual(repeated + sum((shard) => shard.handedOn))
  })
})

describe.each(['tap', 'tun'] as const)('%s', (kind) => {
  let stack: Running

  beforeAll(async () => {
    namespace = newNamespace()
    const services = `http:${files},echo,discard,chargen,daytime,time,iperf3`
    stack = await up(`--${kind}`, 'ng0', ...addresses, '--serve', services)
  })

  afterAll(async () => {
    expect(await stack.end('SIGTERM')).toMatchObject({ code: 0, stderr: '' })
    expect(await leftovers()).toEqual([])
    await namespace.remove()
  })

  test.each([['http://10.77.0.2/large'], ['http://[fd77::2]/large']])('curl downloads 1 GiB: %s', async (url) => {
    const start = Date.now()
    expect(await download(url)).toBe(large)
    measured(`${kind}: ${url} into sha256sum: ${gigabits(GIB, Date.now() - start)}`)
    const seconds = Number(await namespace.run('curl', '-sS', '-o', '/dev/null', '-w', '%{time_total}', url))
    measured(`${kind}: ${url} into nothing: ${gigabits(GIB, seconds * 1000)}`)
    await expectNoConnections()
  })

  test('curl uploads 1 GiB by PUT, and by POST', async () => {
    const source = join(files, 'large')
    const start = Date.now()
    expect(await namespace.run('curl', '-sS', '-T', source, 'http://10.77.0.2/put')).toBe('stored\n')
    measured(`${kind}: upload: ${gigabits(GIB, Date.now() - start)}`)
    await namespace.run('cmp', source, join(files, 'put'))
    rmSync(join(files, 'put'))
    const middleFile = join(files, 'middle')
    await namespace.run('curl', '-sS', '--data-binary', `@${middleFile}`, 'http://[fd77::2]/post')
    await namespace.run('cmp', middleFile, join(files, 'post'))
    rmSync(join(files, 'post'))
    await expectNoConnections()
  })

  test('an upload that is refused gets its answer, however much of it was not read', async () => {
    const options = ['-sS', '-m', '10', '-H', 'Expect:', '--data-binary', `@${join(files, 'middle')}`]
    expect(await namespace.run('curl', ...options, 'http://10.77.0.2/none/file')).toBe(
      '403 Forbidden: cannot store /none/file: ENOENT\n',
    )
    await expectNoConnections()
  })

  test('64 downloads at once', async () => {
    const urls = Array.from({ length: 64 }, (_, i) =>
      i % 2 === 0 ? 'http://10.77.0.2/middle' : 'http://[fd77::2]/middle',
    )
    const sums = await Promise.all(urls.map((url) => download(url)))
    expect(sums).toEqual(urls.map(() => middle))
    await expectNoConnections()
  })

  test.each([['10.77.0.2'], ['fd77::2']])('ping in every size: %s', async (address) => {
    for (const size of [0, 56, 1452, 1453, 1472, 1473, 4000, 65_507]) {
      const out = await namespace.run('ping', '-q', '-c', '4', '-i', '0.02', '-W', '2', '-s', String(size), address)
      expect(out).toContain('4 packets transmitted, 4 received, 0% packet loss')
    }
  })

  test('traceroute: one hop', async () => {
    for (const method of [['-I'], ['-T', '-p', '80'], []]) {
      for (const address of ['10.77.0.2', 'fd77::2']) {
        const out = await namespace.run('traceroute', ...method, '-n', '-q', '1', '-w', '2', address)
        expect(out.trim().split('\n').slice(1)).toEqual([expect.stringMatching(`^ 1  ${address}  [0-9.]+ ms`)])
      }
    }
  })

  test('nc and socat: echo, daytime, time', async () => {
    expect(await namespace.shell("printf 'over nc\\n' | nc -N -w 5 10.77.0.2 7")).toBe('over nc\n')
    expect(await namespace.shell("printf 'over socat\\n' | socat -t 5 - 'TCP6:[fd77::2]:7'")).toBe('over socat\n')
    const middleFile = join(files, 'middle')
    const sum = await namespace.shell(`socat -t 10 - TCP:10.77.0.2:7 < ${middleFile} | sha256sum`)
    expect(sum.split(' ')[0]).toBe(middle)
    const year = new Date().getUTCFullYear()
    const date = new RegExp(`^\\d\\d [A-Z]{3} ${year} \\d\\d:\\d\\d:\\d\\d UTC\\r\\n$`)
    expect(await namespace.run('nc', '-d', '-w', '5', '10.77.0.2', '13')).toMatch(date)
    const seconds = Number.parseInt(await namespace.shell('nc -d -w 5 fd77::2 37 | od -An -tx1 | tr -d " \\n"'), 16)
    expect(Math.abs(seconds - 2_208_988_800 - Date.now() / 1000)).toBeLessThan(3)
    expect((await namespace.attempt('nc', '-zv', '-w', '5', '10.77.0.2', '81')).stderr).toContain('Connection refused')
    await expectNoConnections()
  })

  test.each([
    [['-n', '512M']],
    [['-n', '512M', '-R']],
    [['-n', '512M', '--bidir', '-P', '2']],
    [['-t', '1', '-6', '-R', '-O', '1']],
  ])('iperf3 %j', async (options) => {
    const server = options.includes('-6') ? 'fd77::2' : '10.77.0.2'
    const out = await namespace.run('iperf3', '-c', server, '-J', ...options)
    const { end } = JSON.parse(out) as {
      end: { sum_received: { bits_per_second: number; bytes: number }; streams: [] }
    }
    expect(end.streams).toHaveLength(options.includes('--bidir') ? 4 : 1)
    // What is under way when the sender has had its 512 MB is not counted, nor all of what goes the other way.
    expect(end.sum_received.bytes).toBeGreaterThan(options[0] === '-n' ? 2 ** 27 : 1e6)
    const rate = (end.sum_received.bits_per_second / 1e9).toFixed(2)
    measured(`${kind}: iperf3 ${options.join(' ')}: ${rate} Gbit/s`)
    await expectNoConnections()
  })

  test('discard and chargen carry bulk', async () => {
    await namespace.shell('head -c 2G /dev/zero | socat -u -b 1048576 - TCP:10.77.0.2:9')
    const [, taken] = await stack.printed(
      /discard: 10\.77\.0\.1 port \d+ sent 2147483648 bytes and was sent 0 in .*, ([\d.]+) Mbit/,
    )
    const chargen = "(socat -u -b 1048576 'TCP6:[fd77::2]:19' - 2> /dev/null || true)"
    expect(await namespace.shell(`${chargen} | head -c 2G | tail -c 148`)).toBe(chargenText(2 * GIB - 148, 148))
    const [, given] = await stack.printed(
      /chargen: fd77::1 port \d+ sent 0 bytes and was sent 2\d{9} in .*, ([\d.]+) Mbit/,
    )
    measured(`${kind}: discard ${taken} Mbit/s, chargen ${given} Mbit/s`)
    await expectNoConnections()
  })

  test('idle, it uses less than 2 % of a processor', async () => {
    await sleep(500)
    const before = stack.cpu()
    await sleep(4000)
    const share = (stack.cpu() - before) / 4
    measured(`${kind}: idle: ${(100 * share).toFixed(1)} % of a processor`)
    expect(share).toBeLessThan(0.02)
  })

  test('netglass fetch gets a file from nginx', async () => {
    const configuration = join(directory, 'nginx.conf')
    writeFileSync(
      configuration,
      `daemon off; user root; error_log stderr; pid ${directory}/nginx.pid; events {}
       http { access_log off; server { listen 8080; listen [::]:8080; root ${files}; } }`,
    )
    const nginx = namespace.start('nginx', '-e', 'stderr', '-c', configuration)
    await namespace.shell('for i in $(seq 50); do nc -z 127.0.0.1 8080 && break; sleep 0.1; done')
    const output = join(directory, 'fetched')
    for (const host of ['10.79.0.1', '[fd79::1]']) {
      const own = ['--ip', '10.79.0.2/24', '--host-ip', '10.79.0.1/24', '--ip', 'fd79::2/64', '--host-ip', 'fd79::1/64']
      const result = await netglass('fetch', `--${kind}`, 'ng9', ...own, '-o', output, `http://${host}:8080/large`)
      expect(result.stderr).toMatch(/^1073741824 bytes in [\d.]+ s, [\d.]+ Mbit\/s\n$/)
      expect(result).toMatchObject({ code: 0, stdout: '' })
      measured(`${kind}: fetch from nginx, ${host}: ${result.stderr.trim()}`)
      await namespace.run('cmp', join(files, 'large'), output)
      rmSync(output)
    }
    expect(
      await netglass(
        'fetch',
        `--${kind}`,
        'ng9',
        ...['--ip', '10.79.0.2/24', '--host-ip', '10.79.0.1/24'],
        '-o',
        output,
        'http://10.79.0.1:8080/none',
      ),
    ).toEqual({ code: 1, stdout: '', stderr: 'netglass: http://10.79.0.1:8080/none: the server answered 404\n' })
    expect(existsSync(output)).toBe(false)
    expect(await namespace.links()).toEqual(['ng0'])
    await nginx.end()
  })
})

describe('interruptions', () => {
  beforeEach(() => {
    namespace = newNamespace()
  })

  afterEach(async () => {
    await namespace.remove()
  })

  test('a device made to stay is left with the addresses that it had', async () => {
    await namespace.shell('ip tuntap add ng0 mode tap; ip addr add 10.77.0.1/24 dev ng0')
    const own = async (): Promise<string> =>
      namespace.shell("ip -br addr show ng0 | grep -oE '(10|fd)[0-9a-f.:]+/[0-9]+' | tr '\\n' ' '")
    const stack = await up('--tap', 'ng0', ...addresses, '--host-ip', '10.77.1.1/24')
    expect(await own()).toBe('10.77.0.1/24 10.77.1.1/24 fd77::1/64 ')
    expect((await stack.end('SIGTERM')).code).toBe(0)
    expect(await own()).toBe('10.77.0.1/24 ')
  })

  test('curl is killed in the middle, down and up', async () => {
    const stack = await up('--tap', 'ng0', ...addresses, '--serve', `http:${files},chargen`)
    const slow = ['--limit-rate', '20M', '-o', '/dev/null']
    const killed = [
      namespace.start('curl', '-sS', ...slow, 'http://10.77.0.2/large'),
      namespace.start('curl', '-sS', ...slow, 'http://[fd77::2]/large'),
      namespace.start('curl', '-sS', ...slow, 'telnet://10.77.0.2:19'),
      namespace.start('curl', '-sS', '--limit-rate', '20M', '-T', join(files, 'large'), 'http://10.77.0.2/part'),
    ]
    await sleep(1000)
    expect((await connections()).length).toBe(4)
    for (const curl of killed) await curl.end('SIGKILL')
    await expectNoConnections()
    expect(await leftovers()).toEqual(['ng0', 'ng0.sock'])

    // 10 seconds without the interface, in the middle of transfers both ways.
    const start = Date.now()
    const upload = namespace.shell(`curl -sS --limit-rate 100M -T ${join(files, 'large')} http://10.77.0.2/put`)
    const sums = Promise.all([
      download('http://10.77.0.2/large', '--limit-rate', '100M'),
      download('http://[fd77::2]/large', '--limit-rate', '100M'),
    ])
    await sleep(1500)
    await namespace.run('ip', 'link', 'set', 'ng0', 'down')
    await sleep(5000)
    expect((await connections()).length).toBe(3)
    await sleep(5000)
    await namespace.run('ip', 'link', 'set', 'ng0', 'up')
    expect(await sums).toEqual([large, large])
    expect(await upload).toBe('stored\n')
    await namespace.run('cmp', join(files, 'large'), join(files, 'put'))
    rmSync(join(files, 'put'))
    measured(`three transfers of 1 GiB with 10 s without interface: ${(Date.now() - start) / 1000} s`)
    await expectNoConnections()
    expect(await namespace.run('ping', '-c', '2', '-i', '0.05', 'fd77::2')).toContain(' 0% packet loss')
    const { code, stdout, stderr } = await stack.end('SIGINT')
    expect([code, stderr]).toEqual([0, ''])
    // What became of it all is told.
    expect(stdout.match(/"GET \/large HTTP\/1.1" 200 [0-9]+, broken off: (ECONNRESET|EPIPE)\n/g)).toHaveLength(2)
    expect(stdout).toMatch(
      /"PUT \/part HTTP\/1.1" - 0, broken off: (the body ends after [0-9]+ of 1073741824 bytes|ECONNRESET)\n/,
    )
    expect(stdout).toMatch(/\nng0 is down: what is sent is lost until it is up again\n(.*\n)*ng0 is up again\n/)
    expect(stdout.match(/is up again\n/g)).toHaveLength(2)
    expect(await leftovers()).toEqual([])
  })

  test.each(['tap', 'tun'])('%s is removed in the middle of transfers', async (kind) => {
    const stack = await up(`--${kind}`, 'ng0', ...addresses, '--serve', `http:${files}`)
    namespace.start('curl', '-sS', '-o', '/dev/null', '--limit-rate', '50M', 'http://10.77.0.2/large')
    namespace.start('curl', '-sS', '-T', join(files, 'large'), '--limit-rate', '50M', 'http://[fd77::2]/part')
    await sleep(700)
    await namespace.run('ip', 'link', 'del', 'ng0')
    expect(await stack.ended).toMatchObject({ code: 1, stderr: 'netglass: device ng0 was removed\n' })
    expect(await leftovers()).toEqual([])
  })

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s in the middle of an upload', async (signal) => {
    const stack = await up('--tun', 'ng0', ...addresses, '--serve', `http:${files}`)
    namespace.start('curl', '-sS', '-T', join(files, 'large'), '--limit-rate', '50M', 'http://10.77.0.2/part')
    await sleep(500)
    expect(await leftovers()).toEqual(['ng0', 'ng0.sock', expect.stringMatching(/^part\..*\.part$/)])
    expect(await stack.end(signal)).toMatchObject({ code: 0, stderr: '' })
    expect(await leftovers()).toEqual([])
  })

  test('a fetch that is interrupted, and one whose device is removed', async () => {
    const other = await up('--tun', 'ng0', ...addresses, '--serve', `http:${files}`)
    await namespace.run('sysctl', '-qw', 'net.ipv4.ip_forward=1')
    const output = join(directory, 'fetched')
    const fetch = ['fetch', '--tap', 'ng9', '--ip', '10.79.0.2/24', '--host-ip', '10.79.0.1/24', '-o', output]
    const url = 'http://10.77.0.2/large'
    // What was there before stays.
    writeFileSync(output, 'precious')
    const partial = (): string[] => readdirSync(directory).filter((name) => /^fetched\..*\.part$/.test(name))
    const expectUntouched = (): void => expect([readFileSync(output, 'utf8'), partial()]).toEqual(['precious', []])
    const first = namespace.start(process.execPath, command, ...fetch, url)
    for (let i = 0; i < 100 && partial().length === 0; i++) await sleep(10)
    await sleep(200)
    expect(await first.end('SIGINT')).toEqual({ code: 130, stdout: '', stderr: `netglass: ${url}: interrupted\n` })
    expectUntouched()
    const second = namespace.start(process.execPath, command, ...fetch, url)
    for (let i = 0; i < 100 && partial().length === 0; i++) await sleep(10)
    await sleep(200)
    await namespace.run('ip', 'link', 'del', 'ng9')
    expect(await second.ended).toEqual({ code: 1, stdout: '', stderr: 'netglass: device ng9 was removed\n' })
    expectUntouched()
    const missing = await netglass(...fetch, 'http://10.77.0.2/nothing')
    expect([missing.code, missing.stderr]).toEqual([1, 'netglass: http://10.77.0.2/nothing: the server answered 404\n'])
    expectUntouched()
    // A device is written to, and stays.
    const device = join(directory, 'full')
    execFileSync('mknod', [device, 'c', '1', '7'])
    const full = await netglass(...fetch.slice(0, -1), device, url)
    expect([full.code, full.stderr]).toEqual([1, `netglass: cannot write ${device}: no space left on device\n`])
    expect(statSync(device).isCharacterDevice()).toBe(true)
    expect(await other.end()).toMatchObject({ code: 0 })
  })
})

describe('looking in', () => {
  beforeEach(() => {
    namespace = newNamespace()
  })

  afterEach(async () => {
    await namespace.remove()
  })

  test('netstat and ss show the running stack', async () => {
    const stack = await up('--tap', 'ng0', ...addresses, '--serve', `http:${files}`)
    const curl = namespace.start('curl', '-sS', '-o', '/dev/null', '--limit-rate', '10M', 'http://10.77.0.2/large')
    await sleep(700)
    expect(await tool('netstat', '-ant')).toMatch(
      /^Active Internet .*\nProto .*\ntcp6 +0 +0 :::80 +:::\* +LISTEN *\ntcp6 +0 +\d+ 10\.77\.0\.2:80 +10\.77\.0\.1:\d+ +ESTABLISHED *\n$/,
    )
    expect(await tool('ss', '-ltn')).toMatch(/^State .*\nLISTEN +0 +128 +\*:80 +\*:\* *\n$/)
    expect(await tool('ss', '-tn')).toMatch(
      /^State .*\nESTAB +0 +\d+ +\[::ffff:10\.77\.0\.2\]:80 +\[::ffff:10\.77\.0\.1\]:\d+ *\n$/,
    )
    expect(await tool('netstat', '-i')).toMatch(
      /^Kernel Interface table\nIface .*\neth0 +1500 +\d+ +0 +0 .* BMRU\nlo +65536 .*\n$/,
    )
    expect(await tool('netstat', '-s')).toMatch(/^Tcp:\n(?:.*\n)* +1 passive connection openings\n/m)
    await curl.end('SIGKILL')
    await stack.end()
  })

  test('without a stack, with one of another name, and with several', async () => {
    const none = "start one with 'netglass up' or 'netglass run', and use sudo here if you do there"
    const failure = (line: string): object => ({ code: 1, stdout: '', stderr: `netglass: ${line}\n` })
    expect(await netglass('netstat', '-ant')).toEqual(failure(`no stack is running: ${none}`))
    expect(await netglass('ss', '-tn', '--stack', 'ng0')).toEqual(failure(`no stack named ng0 is running: ${none}`))
    const first = await up('--tap', 'ng0', ...addresses)
    const second = await up('--tun', 'ng1', '--ip', '10.78.0.2/24', '--serve', 'echo:4007')
    expect(await netglass('ss', '-ltn')).toEqual(
      failure('several stacks are running, say which with --stack: ng0, ng1'),
    )
    expect(await tool('ss', '-ltn', '--stack', 'ng1')).toContain('*:4007')
    expect(await tool('netstat', '-ant', '--stack=ng0')).not.toContain('LISTEN')
    expect(await netglass('ss', '-tn', '--stack', 'x')).toEqual(
      failure('no stack named x is running: running are ng0, ng1'),
    )
    expect((await netglass('netstat', '--nonsense', '--stack', 'ng0')).code).toBe(1)
    for (const stack of [first, second]) expect(await stack.end()).toMatchObject({ code: 0, stderr: '' })
    expect(await leftovers()).toEqual([])
  })
})

describe('captures', () => {
  beforeEach(() => {
    namespace = newNamespace()
  })

  afterEach(async () => {
    await namespace.remove()
  })

  test.each(['tap', 'tun'])('tshark reads what --pcap wrote: %s', async (kind) => {
    const file = join(directory, `${kind}.pcapng`)
    const stack = await up(`--${kind}`, 'ng0', ...addresses, '--serve', `http:${files},echo`, '--pcap', file)
    expect(await download('http://10.77.0.2/middle')).toBe(middle)
    expect(await download('http://[fd77::2]/middle')).toBe(middle)
    await namespace.run('ping', '-q', '-c', '2', '-i', '0.05', '-s', '4000', '10.77.0.2')
    await namespace.run('ping', '-q', '-c', '2', '-i', '0.05', '-s', '4000', 'fd77::2')
    await namespace.shell('echo hello | nc -N 10.77.0.2 7')
    expect(await stack.end()).toMatchObject({ code: 0, stderr: '' })
    const read = (...options: string[]): Promise<Result> => namespace.attempt('tshark', '-n', '-r', file, ...options)
    const all = await read()
    expect(all.code).toBe(0)
    expect(all.stderr.replace('Running as user "root" and group "root". This could be dangerous.', '').trim()).toBe('')
    const checks = ['-o', 'tcp.check_checksum:TRUE', '-o', 'ip.check_checksum:TRUE', '-o', 'udp.check_checksum:TRUE']
    const wrong = '_ws.malformed || _ws.expert.severity == error || tcp.checksum.status == 0 || ip.checksum.status == 0'
    expect((await read(...checks, '-Y', wrong)).stdout).toBe('')
    expect((await read('-Y', 'http.response.code == 200')).stdout.trim().split('\n').length).toBe(2)
    rmSync(file)
  })

  test.each([[[]], [['--workers', '2']]])('a disk that is full, %j', async (workers) => {
    const small = mkdtempSync(join(directory, 'small-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', small])
    try {
      const file = join(small, 'capture')
      const stack = await up('--tap', 'ng0', ...workers, ...addresses, '--serve', `http:${files}`, '--pcap', file)
      const curl = namespace.start('curl', '-sS', '-o', '/dev/null', '-m', '5', 'http://10.77.0.2/middle')
      const line = `netglass: the capture could not be written to ${file}, and was removed: no space left on device\n`
      expect(await stack.ended).toMatchObject({ code: 1, stderr: line })
      await curl.end('SIGKILL')
      expect(readdirSync(small)).toEqual([])
      expect(await leftovers()).toEqual([])
    } finally {
      execFileSync('umount', [small])
    }
    const { code, stderr } = await netglass('up', '--tap', 'ng0', ...addresses, '--pcap', '/dev/full')
    expect(stderr).toBe('netglass: the capture could not be written to /dev/full: no space left on device\n')
    expect(code).toBe(1)
    expect(existsSync('/dev/full')).toBe(true)
    expect(await leftovers()).toEqual([])
  })
})

describe('bad input: one line, exit code 1, nothing left', () => {
  beforeAll(() => {
    namespace = newNamespace()
  })

  afterAll(async () => {
    await namespace.remove()
  })

  const ip = ['--tap', 'ng0', '--ip', '10.77.0.2/24']
  const help = "'netglass up --help' tells more"
  const cidr = 'give an address with its prefix length, like 10.77.0.2/24 or fd77::2/64'

  test.each([
    [[], 'give one of --tap NAME and --tun NAME'],
    [['--tap', 'a', '--tun', 'b'], 'give one of --tap NAME and --tun NAME'],
    [['--tap', 'ng0'], "give the stack's address with --ip, like --ip 10.77.0.2/24"],
    [['--tap'], `option '--tap <name>' argument missing: ${help}`],
    [['--nonsense'], `unknown option '--nonsense': ${help}`],
    [[...ip, 'word'], `too many arguments for 'up'. Expected 0 arguments but got 1: ${help}`],
    [['--tap', 'ng0', '--ip', '10.77.0.2'], `--ip 10.77.0.2: ${cidr}`],
    [['--tap', 'ng0', '--ip', '10.77.0.300/24'], `--ip 10.77.0.300/24: ${cidr}`],
    [['--tap', 'ng0', '--ip6', 'fd77::x/64'], `--ip6 fd77::x/64: ${cidr}`],
    [['--tap', 'ng0', '--ip', '224.0.0.1/4'], '--ip 224.0.0.1/4: no interface can have this address'],
    [[...ip, '--host-ip', '10.77.0.2/24'], '10.77.0.2 is given twice: every address has one owner'],
    [[...ip, '--gateway', '1.2.3.4'], '--gateway 1.2.3.4: no address given by --ip has it in its subnet'],
    [[...ip, '--mtu', '10'], '--mtu 10: the MTU is a number of bytes from 68 to 65535 here'],
    [[...ip, '--set', 'net.ipv4.nonsense=1'], '--set net.ipv4.nonsense=1: there is no setting net.ipv4.nonsense'],
    [
      [...ip, '--serve', 'gopher'],
      '--serve gopher: there is no such service; choose from http:DIR, echo, discard, daytime, chargen, time, iperf3',
    ],
    [[...ip, '--serve', 'http:/nonexistent'], '--serve http:/nonexistent: /nonexistent is not a directory'],
    [[...ip, '--serve', 'echo:70000'], '--serve echo:70000: 70000 is no port: give a number from 1 to 65535'],
    [[...ip, '--workers', '0'], '--workers 0: it takes a whole number from 1 to 32'],
    [[...ip, '--without', 'warp'], '--without warp: there is no such fast path: --without list prints them'],
    [[...ip, '-K', 'lro', 'off'], '-K lro: there is no such feature; there are rx, gro, tx, tso'],
    [[...ip, '--busy-poll', 'long'], '--busy-poll long: give a number of microseconds, 9999999 at most'],
    [[...ip, '-K', 'tso', 'maybe'], '-K tso: say on or off behind it'],
    [
      [...ip, '--serve', 'http:/tmp:80,http:/usr:80'],
      '--serve: port 80 is in use by another service already: give http one of its own, like http:/usr:8080',
    ],
    [[...ip, '--pcap', '/nonexistent/x'], 'cannot write the capture to /nonexistent/x: no such file or directory'],
    [[...ip, '--name', 'a/b'], "stack name \"a/b\" is not valid: 1 to 64 letters, digits, '.', '_' and '-'"],
    [
      ['--tap', 'longer-than-a-name', '--ip', '10.77.0.2/24'],
      "device name 'longer-than-a-name' is too long: it may have 15 bytes",
    ],
  ])('up %j', async (args, line) => {
    expect(await netglass('up', ...args)).toEqual({ code: 1, stdout: '', stderr: `netglass: ${line}\n` })
    expect(await leftovers()).toEqual([])
  })

  test('tools look in, and settings can be changed', async () => {
    const stack = await up('--tap', 'ng0', ...addresses, '--serve', 'echo')
    expect(await tool('ip', '-4', '-br', 'addr')).toBe(
      'lo               UNKNOWN        127.0.0.1/8 \neth0             UP             10.77.0.2/24 \n',
    )
    expect(await tool('lsof', '-nPi')).toMatch(/^COMMAND +PID .*\necho .* TCP \*:7 \(LISTEN\)\n/)
    expect(await tool('sysctl', 'net.ipv4.tcp_retries2')).toBe('net.ipv4.tcp_retries2 = 15\n')
    expect(await tool('sysctl', '-w', 'net.ipv4.tcp_retries2=8')).toBe('net.ipv4.tcp_retries2 = 8\n')
    expect(await tool('sysctl', '-n', 'net.ipv4.tcp_retries2')).toBe('8\n')
    expect(await netglass('sysctl', '-w', 'net.ipv4.moon=1')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'netglass: there is no setting net.ipv4.moon\n',
    })
    expect(await netglass('sysctl', '-w')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'netglass: sysctl: no variables specified: give NAME=VALUE\n',
    })
    await tool('nstat')
    await namespace.run('ping', '-q', '-c', '3', '-i', '0.01', '10.77.0.2')
    expect(await tool('nstat', 'IcmpInEchos')).toBe(`#kernel\n${'IcmpInEchos'.padEnd(32)}${'3'.padEnd(16)}   0.0\n`)
    expect(await tool('nstat', 'IcmpInEchos')).toBe('#kernel\n')

    const dump = namespace.start(process.execPath, command, 'tcpdump', '-n', '-t', '-c', '2', 'icmp')
    await dump.printed(/listening on/)
    await namespace.run('ping', '-q', '-c', '1', '10.77.0.2')
    const { code, stdout, stderr } = await dump.ended
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: 'listening on the stack, link-type EN10MB (Ethernet), snapshot length 262144\n2 packets captured\n',
    })
    expect(stdout.replace(/id \d+/g, 'id #').split('\n')).toEqual([
      'IP 10.77.0.1 > 10.77.0.2: ICMP echo request, id #, seq 1, length 64',
      'IP 10.77.0.2 > 10.77.0.1: ICMP echo reply, id #, seq 1, length 64',
      '',
    ])
    const file = join(directory, 'dump.pcapng')
    const writing = namespace.start(process.execPath, command, 'tcpdump', '-w', file, '-c', '2', 'icmp')
    await writing.printed(/listening on/)
    await namespace.run('ping', '-q', '-c', '1', '10.77.0.2')
    expect(await writing.ended).toMatchObject({ code: 0, stdout: '' })
    const ours = (await netglass('tcpdump', '-n', '-v', '-r', file)).stdout
    expect(ours).toBe((await namespace.attempt('tcpdump', '-n', '-v', '-r', file)).stdout)
    expect(ours.split('\n').length).toBe(5)
    expect(await netglass('tcpdump', '-i', 'moon')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'netglass: moon: No such device exists: there are lo, eth0\n',
    })
    expect(await netglass('tcpdump', '-w', join(directory, 'none', 'x'))).toEqual({
      code: 1,
      stdout: '',
      stderr: `netglass: ${join(directory, 'none', 'x')}: no such file or directory\n`,
    })
    await stack.end()
    rmSync(join(runtime, 'netglass'), { recursive: true })
  })

  test('a device in use, and a name', async () => {
    // A device of the same name in another network namespace is nobody's business here.
    const elsewhere = newNamespace()
    const stranger = elsewhere.start(
      process.execPath,
      command,
      'up',
      '--tap',
      'ng0',
      '--name',
      'stranger',
      ...addresses,
    )
    await stranger.printed(/ is up: /)
    const stack = await up('--tap', 'ng0', ...addresses)
    const failure = (line: string): object => ({ code: 1, stdout: '', stderr: `netglass: ${line}\n` })
    const other = ['--ip', '10.80.0.2/24']
    expect(await netglass('up', '--tap', 'ng0', ...other)).toEqual(
      failure(`device ng0 is in use by node (pid ${stack.pid}): stop it or choose another name`),
    )
    expect(await netglass('up', '--tap', 'ng1', '--name', 'ng0', ...other)).toEqual(
      failure(`a stack named ng0 is running already (pid ${stack.pid}): choose another name`),
    )
    await stranger.end()
    await elsewhere.remove()
    expect(await leftovers()).toEqual(['ng0', 'ng0.sock'])
    await namespace.run('ping', '-q', '-c', '1', '10.77.0.2')
    await stack.end()
  })

  test('no permission: it says what to run', async () => {
    const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'env', '-u', 'XDG_RUNTIME_DIR']
    const { code, stdout, stderr } = await namespace.attempt(...asNobody, process.execPath, command, 'up', ...ip)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect([
      "netglass: no permission to open /dev/net/tun: run this with sudo, or let everybody open it: 'sudo chmod 0666 /dev/net/tun'\n",
      "netglass: no permission to use tap device ng0: run this with sudo, or once 'sudo ip tuntap add dev ng0 mode tap user nobody'\n",
    ]).toContain(stderr)
    expect(await leftovers()).toEqual([])
  })
})
