import { execFile, spawn } from 'node:child_process'
import { scrypt } from 'node:crypto'
import dgram from 'node:dgram'
import dns, { lookup } from 'node:dns'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import os from 'node:os'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { Timeline } from '../sim/timeline.ts'
import { NodeNetwork } from './network.ts'
import { program, useProgram } from './program.ts'

/** Unmodified users of Node's modules on several hosts, in virtual time. */

let network: NodeNetwork
afterEach(() => network.close())

const twoHosts = (delay = 10): void => {
  network = new NodeNetwork({ seed: 7 })
  network.link(network.host('client'), network.host('server'), { delay })
}

describe('NodeNetwork', () => {
  it('runs an HTTP server and a client on two hosts', async () => {
    twoHosts()
    const text = await network.run(async () => {
      const server = network.on('server', () =>
        http
          .createServer((request, response) => response.end(`${request.url} ${request.socket.remoteAddress}`))
          .listen(80),
      )
      const answer = await network.on('client', async () => (await fetch('http://server/x')).text())
      server.close()
      return answer
    })
    expect(text).toBe('/x ::ffff:10.0.0.1')
  })

  it('sends an answer at once, the empty chunk that HTTP ends it with notwithstanding', async () => {
    twoHosts()
    const times = await network.run(async () => {
      const server = network.on('server', () => http.createServer((_, response) => response.end('body')).listen(80))
      const seen = await network.on('client', async () => {
        await (await fetch('http://server/')).text()
        const begin = network.now
        await (await fetch('http://server/')).text()
        return network.now - begin
      })
      server.close()
      return seen
    })
    // Another connection, and the answer.
    expect(times).toBe(40)
  })

  it('moves the clocks of the application with the network, and no faster than it is idle', async () => {
    twoHosts()
    const seen = await network.run(async () => {
      const begin = [Date.now(), network.now] as const
      await sleep(86_400_000)
      await new Promise((resolve) => setTimeout(resolve, 1000))
      return [Date.now() - begin[0], network.now - begin[1]]
    })
    expect(seen).toEqual([86_401_000, 86_401_000])
  })

  it("ends a program that only repeats itself, at a limit of the network's time", async () => {
    network = new NodeNetwork({ limit: 3_600_000 })
    const endless = network.run(async () => {
      setInterval(() => {}, 1000)
      await new Promise(() => {})
    })
    await expect(endless).rejects.toThrow(
      "the program has not ended after 3600 s of the network's time (seed 1; no sockets are open)",
    )
    expect(network.now).toBe(3_600_000)
  })

  it('waits for WebAssembly that is compiled in the background', async () => {
    network = new NodeNetwork()
    const seen = await network.run(async () => {
      const late = sleep(1).then(() => 'late')
      const compiled = WebAssembly.compile(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])).then(() => 'compiled')
      return Promise.race([late, compiled])
    })
    expect(seen).toBe('compiled')
  })

  it('lets a socket time out, and a connection whose link is cut be given up after a quarter of an hour', async () => {
    twoHosts()
    const link = network.links[0]!
    const events = await network.run(async () => {
      const seen: string[] = []
      network.on('server', () => net.createServer().listen(7))
      await network.on('client', async () => {
        const socket = net.connect(7, 'server')
        await new Promise((resolve) => socket.once('connect', resolve))
        link.cable.setDown()
        const begin = Date.now()
        socket.setTimeout(30_000, () => seen.push(`timeout ${Date.now() - begin}`))
        socket.write('into the void')
        const error = await new Promise<NodeJS.ErrnoException>((resolve) => socket.once('error', resolve))
        seen.push(`${error.code} ${error.syscall} after ${Math.round((Date.now() - begin) / 60_000)} min`)
      })
      return seen
    })
    expect(events[0]).toBe('timeout 30000')
    expect(events.at(-1)).toBe('EHOSTUNREACH read after 15 min')
  })

  it('waits for files, for crypto on the thread pool and for compression, while the time stands still', async () => {
    network = new NodeNetwork()
    const seen = await network.run(async () => {
      // A deadline in virtual time that would pass at once if the work were not waited for.
      const late = sleep(1).then(() => 'late')
      const work = Promise.all([
        readFile(import.meta.filename, 'utf8'),
        promisify(scrypt)('password', 'salt', 32),
        promisify(gzip)('x'.repeat(100_000)),
      ]).then(() => 'done')
      return [await Promise.race([work, late]), network.now]
    })
    expect(seen).toEqual(['done', 0])
  })

  it('waits for the child processes of a program and for all that they write, not for those that were there before', async () => {
    const before = spawn('sleep', ['60'], { stdio: 'ignore' })
    network = new NodeNetwork()
    const seen = await network.run(async () => {
      const late = sleep(1).then(() => 'late')
      const output = promisify(execFile)('sh', ['-c', 'sleep 0.05; echo done']).then(({ stdout }) => stdout)
      return [await Promise.race([output, late]), network.now, await late]
    })
    before.kill()
    expect(seen).toEqual(['done\n', 0, 'late'])
  })

  it('calls timers back on the host on which they were set', async () => {
    twoHosts()
    const addresses = await network.run(() =>
      network.on('client', async () => {
        await new Promise((resolve) => setTimeout(resolve, 100))
        return new Promise((resolve) => {
          setTimeout(() => lookup('server', { all: true }, (_, found) => resolve(found)), 100)
        })
      }),
    )
    expect(addresses).toEqual([{ address: '10.0.0.2', family: 4 }])
  })

  it('asks the name servers of the host that runs', async () => {
    network = new NodeNetwork({ seed: 7 })
    const hosts = ['a', 'b'].map((name) => network.host(name))
    network.link(hosts[0]!, hosts[1]!, { delay: 10 })
    for (const host of hosts) host.resolver.servers = [{ address: '127.0.0.1', port: 53 }]
    const found = await network.run(() =>
      Promise.all(
        ['a', 'b'].map((name, index) =>
          network.on(name, async () => {
            const server = dgram.createSocket('udp4').bind(53, '127.0.0.1')
            // An answer that points to the question: A, IN, 60 s, 1.1.1.1 or 1.1.1.2; none for IPv6.
            const answer = Buffer.from(`c00c000100010000003c00040101010${index + 1}`, 'hex')
            server.on('message', (query, from) => {
              const isIpv4 = query.readUInt16BE(query.length - 4) === 1
              const header = Buffer.from([query[0]!, query[1]!, 0x81, 0x80, 0, 1, 0, Number(isIpv4), 0, 0, 0, 0])
              const parts = isIpv4 ? [header, query.subarray(12), answer] : [header, query.subarray(12)]
              server.send(Buffer.concat(parts), from.port, from.address)
            })
            await once(server, 'listening')
            const { address } = await dns.promises.lookup('x.example')
            const answers = await dns.promises.resolve4('x.example', { ttl: true })
            server.close()
            const unknown = await dns.promises.lookupService('192.0.2.1', 80).catch(({ code }) => code as string)
            return [address, answers, dns.getServers(), unknown]
          }),
        ),
      ),
    )
    expect(found).toEqual([
      ['1.1.1.1', [{ address: '1.1.1.1', ttl: 60 }], ['127.0.0.1'], 'EAI_AGAIN'],
      ['1.1.1.2', [{ address: '1.1.1.2', ttl: 60 }], ['127.0.0.1'], 'EAI_AGAIN'],
    ])
  })

  it('tells the addresses of HTTP/2 in cleartext, and carries more than a window of it', async () => {
    twoHosts()
    const found = await network.run(async () => {
      const server = network.on('server', () =>
        http2
          .createServer((request, response) => {
            const { remoteAddress, localPort } = request.socket
            response.setHeader('from', `${remoteAddress} ${localPort}`)
            request.pipe(response)
          })
          .listen(80),
      )
      await once(server, 'listening')
      const answer = await network.on('client', async () => {
        const session = http2.connect('http://server')
        const stream = session.request({ ':method': 'POST' })
        stream.end(Buffer.alloc(300_000, 'x'))
        const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
        const body = await buffer(stream)
        const { remoteAddress, remotePort, bytesWritten } = session.socket
        session.close()
        await once(session, 'close')
        return [headers['from'], body.length, remoteAddress, remotePort, bytesWritten > 300_000]
      })
      server.close()
      return answer
    })
    expect(found).toEqual(['::ffff:10.0.0.1 80', 300_000, '10.0.0.2', 80, true])
  })

  it('is on its host for who asks the operating system', async () => {
    network = new NodeNetwork({ seed: 7 })
    network.link(network.host('client'), network.host('server'), { addresses: ['10.0.0.1/24', '10.0.0.2/24'] })
    const seen = await network.run(() =>
      network.on('client', async () => {
        const { lo, eth0 } = os.networkInterfaces()
        return [lo, eth0?.filter(({ family }) => family === 'IPv4'), await dns.promises.lookup(os.hostname(), 4)]
      }),
    )
    expect(seen).toEqual([
      [
        {
          address: '127.0.0.1',
          netmask: '255.0.0.0',
          family: 'IPv4',
          mac: '00:00:00:00:00:00',
          internal: true,
          cidr: '127.0.0.1/8',
        },
        {
          address: '::1',
          netmask: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
          family: 'IPv6',
          mac: '00:00:00:00:00:00',
          internal: true,
          cidr: '::1/128',
          scopeid: 0,
        },
      ],
      [
        {
          address: '10.0.0.1',
          netmask: '255.255.255.0',
          family: 'IPv4',
          mac: expect.stringMatching(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/),
          internal: false,
          cidr: '10.0.0.1/24',
        },
      ],
      { address: '10.0.0.1', family: 4 },
    ])
  })

  it('has the names of Node for the connections that its thread keeps', () => {
    network = new NodeNetwork()
    const context = program(network.host('a'))
    useProgram(context)
    try {
      expect(http.globalAgent.getName({ host: 'b', port: 80 })).toBe('b:80:')
    } finally {
      useProgram(null)
    }
    network.on('a', () => expect(http.globalAgent.getName({ host: 'b', port: 80 })).toMatch(/^b:80::netglass/))
  })

  it('leads a port to a server of the kernel, and stands still while it works', async () => {
    twoHosts()
    const real = net.createServer((socket) => {
      socket.on('data', (data) => void setTimeout(() => socket.end(String(data).toUpperCase()), 5))
    })
    real.listen(0, '127.0.0.1')
    await once(real, 'listening')
    const { port } = real.address() as net.AddressInfo
    await network.bridge('server', 5432, { host: '127.0.0.1', port })
    const answer = await network.run(() =>
      network.on('client', async () => {
        const socket = net.connect(5432, 'server').setTimeout(15_000, () => socket.destroy(new Error('too late')))
        socket.write('query')
        let text = ''
        for await (const chunk of socket) text += String(chunk)
        return text
      }),
    )
    real.close()
    expect(answer).toBe('QUERY')
  })

  it('hears what a server of the kernel says unasked before hours pass', async () => {
    twoHosts()
    const inRealTime = setTimeout
    const real = net.createServer((socket) => {
      socket.on('error', () => {})
      socket.write('welcome ')
      inRealTime(() => socket.end('news'), 20)
    })
    real.listen(0, '127.0.0.1')
    await once(real, 'listening')
    const { port } = real.address() as net.AddressInfo
    await network.bridge('server', 5432, { host: '127.0.0.1', port })
    const [text, hours] = await network.run(() =>
      network.on('client', async () => {
        let hours = 0
        const clock = setInterval(() => hours++, 3_600_000)
        let text = ''
        for await (const chunk of net.connect(5432, 'server')) text += String(chunk)
        clearInterval(clock)
        return [text, hours]
      }),
    )
    real.close()
    expect(text).toBe('welcome news')
    expect(hours).toBe(0)
  })

  it('rejects with what a callback throws', async () => {
    twoHosts()
    const run = network.run(async () => {
      await network.on('client', () => new Promise(() => net.connect(9, 'server')))
    })
    await expect(run).rejects.toMatchObject({ code: 'ECONNREFUSED', address: '10.0.0.2', port: 9 })
  })

  it('leaves the programs of a network that is closed to themselves: they hear of nothing more, in the next one neither', async () => {
    twoHosts()
    const seen: string[] = []
    const run = network.run(async () => {
      const client = async (): Promise<void> => {
        for (;;) {
          await fetch('http://server/').catch(({ message }) => seen.push(message))
          setTimeout(() => seen.push('a timer has fired'), 5)
          await sleep(10)
        }
      }
      void network.on('client', client)
      await sleep(55)
      throw new Error('enough')
    })
    await expect(run).rejects.toThrow('enough')
    expect(seen).toEqual(['fetch failed', 'a timer has fired'])
    network.close()
    network = new NodeNetwork()
    await network.run(() => sleep(100_000))
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(seen).toHaveLength(2)
  })

  it('has what programs on a host print in its timeline', async () => {
    network = new NodeNetwork({ quiet: true })
    network.host('a')
    const timeline = new Timeline(network)
    await network.run(async () => {
      await sleep(5)
      network.on('a', () => console.warn('%s is %d', 'it', 5))
    })
    expect(timeline.lines()).toEqual(['     5.000 ms  a: node: it is 5'])
  })

  it('says so when nothing is left that could happen', async () => {
    network = new NodeNetwork({ patience: 20 })
    network.host('a')
    const run = network.run(
      () =>
        new Promise<void>((resolve) =>
          network.on('a', () => net.createServer().listen(5, '0.0.0.0').on('close', resolve)),
        ),
    )
    await expect(run).rejects.toThrow(
      'nothing is left that could happen, and the program has not ended (at 0 ms, seed 1; open: a: 0.0.0.0:5)',
    )
  })
})
