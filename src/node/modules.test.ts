import nodeDgram from 'node:dgram'
import nodeDns from 'node:dns'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import nodeNet, { type AddressInfo, type NetConnectOpts } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Network } from '../sim/network.ts'
import dgram from './dgram.ts'
import dns from './dns.ts'
import dnsPromises from './dns-promises.ts'
import { createModules, setDefaultHost } from './modules.ts'
import net, { Stream } from './net.ts'
import { NodeNetwork } from './network.ts'
import { RealClock, RealTimeDriver } from './realtime.ts'

const twoHosts = () => {
  const network = new NodeNetwork({ seed: 5, names: { 'api.example': '10.0.0.2' } })
  const [client, server] = [network.host('client'), network.host('server')]
  network.link(client, server, { delay: 100, addresses: ['10.0.0.1/24', '10.0.0.2/24'] })
  return { network, client, server }
}

describe('the modules', () => {
  it('have everything that Node has', () => {
    const missing = (ours: object, nodes: object): string[] =>
      Object.keys(nodes).filter((name) => !name.startsWith('_') && !(name in ours))
    expect(missing(net, nodeNet)).toEqual([])
    expect(missing(dgram, nodeDgram)).toEqual([])
    expect(missing(dns, nodeDns)).toEqual([])
    expect(missing(dnsPromises, nodeDns.promises)).toEqual([])
    const methods = (Class: { prototype: object }): string[] => Object.getOwnPropertyNames(Class.prototype)
    expect(methods(nodeNet.Socket).filter((name) => !(name in new net.Socket()))).toEqual([])
    const server = new net.Server()
    expect(methods(nodeNet.Server).filter((name) => !name.startsWith('_') && !(name in server))).toEqual([])
    const socket = dgram.createSocket('udp4')
    expect(methods(nodeDgram.Socket).filter((name) => !name.startsWith('_') && !(name in socket))).toEqual([])
    expect(methods(nodeDns.Resolver).filter((name) => !(name in dns.Resolver.prototype))).toEqual([])
    expect(methods(nodeDns.promises.Resolver).filter((name) => !(name in dns.promises.Resolver.prototype))).toEqual([])
  })

  it('of each host are its own, in virtual time', async () => {
    const { network, client, server } = twoHosts()
    const result = await network.run(async () => {
      const listener = server.net.createServer((socket) => socket.end(`hello ${socket.remoteAddress}`)).listen(80)
      await once(listener, 'listening')
      const socket = client.net.connect(80, 'api.example')
      const said = await text(socket)
      listener.close()
      return { said, at: network.now, family: socket.remoteFamily }
    })
    // There and back by ARP, by the handshake, and by the data.
    expect(result).toEqual({ said: 'hello ::ffff:10.0.0.1', at: 600, family: undefined })
    network.close()
  })

  it('do not connect to what is on a block list, nor accept from it', async () => {
    const { network, client, server } = twoHosts()
    const result = await network.run(async () => {
      const blockList = new client.net.BlockList()
      blockList.addSubnet('10.0.0.0', 30)
      const events: string[] = []
      const open = server.net.createServer((socket) => socket.end('hello')).listen(80)
      // The types of Node 20 do not have the option yet.
      server.net.createServer({ blockList } as object, () => events.push('let in')).listen(81)
      await once(open, 'listening')
      const refused = async (options: object): Promise<unknown> => {
        const [error] = await once(client.net.connect({ blockList, port: 80, ...options } as NetConnectOpts), 'error')
        return `${error.code} ${error.errors?.map(({ code }: { code: string }) => code) ?? error.message}`
      }
      const lookup = (_host: string, _options: object, done: (error: null, found: object[]) => void): void =>
        done(
          null,
          ['10.0.0.2', '10.0.0.3'].map((address) => ({ address, family: 4 })),
        )
      events.push(`${await refused({ host: '10.0.0.2' })}`, `${await refused({ lookup, autoSelectFamily: true })}`)
      events.push(await text(client.net.connect(81, '10.0.0.2')))
      expect(() => client.net.connect({ blockList: {}, port: 80 } as NetConnectOpts)).toThrow('net.BlockList')
      return events
    })
    expect(result).toEqual([
      'ERR_IP_BLOCKED IP(10.0.0.2) is blocked by net.BlockList',
      'ERR_IP_BLOCKED ERR_IP_BLOCKED,ERR_IP_BLOCKED',
      '',
    ])
    network.close()
  })

  it('belong to the host that runs', async () => {
    const { network } = twoHosts()
    const addresses = await network.run(async () => {
      await network.on('server', async () => {
        const listener = net.createServer((socket) => socket.pipe(socket)).listen(7)
        await once(listener, 'listening')
      })
      return network.on('client', async () => {
        const socket = net.connect(7, 'server')
        await once(socket, 'connect')
        const { localAddress, remoteAddress } = socket
        socket.end('x')
        expect(await text(socket)).toBe('x')
        return { localAddress, remoteAddress, looked: await dnsPromises.lookup('server') }
      })
    })
    expect(addresses).toEqual({
      localAddress: '10.0.0.1',
      remoteAddress: '10.0.0.2',
      looked: { address: '10.0.0.2', family: 4 },
    })
    network.close()
  })

  it('say what to do where there is no host', () => {
    expect(() => net.createServer().listen(0)).toThrow(
      'netglass/net, /dgram and /dns belong to a host: run inside network.on(host, …), or call setDefaultHost(host) of netglass/modules',
    )
  })

  it('share their classes between hosts', () => {
    const { network, client, server } = twoHosts()
    const socket = new client.net.Socket()
    expect(socket).toBeInstanceOf(server.net.Socket)
    expect(socket).toBeInstanceOf(net.Socket)
    expect(socket).not.toBeInstanceOf(nodeNet.Socket)
    class Own extends client.net.Socket {}
    expect(new Own()).toBeInstanceOf(Stream)
    network.close()
  })

  it('wait an hour in no time', async () => {
    const { network, client, server } = twoHosts()
    const idle = await network.run(async () => {
      server.net.createServer((socket) => socket.resume()).listen(80)
      const socket = client.net.connect(80, '10.0.0.2')
      socket.setTimeout(3_600_000)
      await once(socket, 'timeout')
      return network.now
    })
    expect(idle).toBe(3_600_400)
    network.close()
  })

  it("carry Node's http, given their connections", async () => {
    const { network, client, server } = twoHosts()
    const said = await network.run(async () => {
      const app = http.createServer((request, response) => response.end(`${request.method} ${request.url}`))
      server.net.createServer((socket) => app.emit('connection', socket)).listen(80)
      const request = http.get('http://server/path', {
        createConnection: () => client.net.connect(80, 'server'),
      })
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      return text(response)
    })
    expect(said).toBe('GET /path')
    network.close()
  })

  it('ask the name servers of their host', async () => {
    const { network, client, server } = twoHosts()
    const result = await network.run(async () => {
      const names = server.dgram.createSocket('udp4')
      names.bind(53)
      names.on('message', (query, from) => {
        // The question as it is, and an answer that points to it: A, IN, 60 s, 1.2.3.4.
        const answer = Buffer.from('c00c000100010000003c000401020304', 'hex')
        const header = Buffer.from([query[0]!, query[1]!, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0])
        names.send(Buffer.concat([header, query.subarray(12), answer]), from.port, from.address)
      })
      const resolver = new client.dns.promises.Resolver()
      resolver.setServers(['10.0.0.2'])
      return [
        await resolver.resolve4('a.example'),
        await resolver.resolve4('a.example', { ttl: true }),
        await resolver.resolveTxt('a.example').catch((error: NodeJS.ErrnoException) => error.code),
      ]
    })
    expect(result).toEqual([['1.2.3.4'], [{ address: '1.2.3.4', ttl: 60 }], 'ENODATA'])
    network.close()
  })

  it('have the same names in browsers', () => {
    // What the two folders' files say, but for the comments: only the modules that they take the names from differ.
    const names = (folder: string, file: string): string =>
      readFileSync(new URL(`../${folder}/${file}.ts`, import.meta.url), 'utf8').replace(/\/\*\*.*\*\/\n/g, '')
    for (const file of ['net', 'dgram', 'dns', 'dns-promises']) {
      expect(names('browser', file)).toBe(names('node', file))
    }
  })

  it('run live, and end with their program', async () => {
    const network = new Network({ clock: new RealClock() })
    const driver = new RealTimeDriver(network.world.loop).ref()
    const host = network.host('live')
    setDefaultHost(host)
    const listener = net.createServer((socket) => socket.resume()).listen(0)
    await once(listener, 'listening')
    const other = createModules(host)
    const socket = other.net.connect((listener.address() as AddressInfo).port, '127.0.0.1')
    await once(socket, 'connect')
    const ended = once(listener, 'connection').then(([peer]) => peer as nodeNet.Socket)
    other.close()
    const peer = await ended
    await once(peer, 'close')
    await sleep(1)
    expect([...host.sockets.sockets].filter((one) => one.isListening)).toHaveLength(1)
    setDefaultHost(null)
    driver.close()
  })
})
