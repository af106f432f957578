import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { AddressInfo, Server, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { Modules } from '../../src/node/modules.ts'
import { implementations } from './implementations.ts'
import { describe as describeError, Log, SERVER_EVENTS, SOCKET_EVENTS, thrownBy } from './log.ts'

type Net = Modules['net']

const listen = async (server: Server, ...args: unknown[]): Promise<number> => {
  ;(server.listen as (...args: unknown[]) => void)(...(args.length > 0 ? args : [0, '127.0.0.1']))
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** A server, and what it does with each connection; after the first it takes no more, unless it `stays`. */
const serve = async (
  net: Net,
  accept: (socket: Socket) => void,
  { stays = false, ...options }: { stays?: boolean; pauseOnConnect?: boolean } = {},
): Promise<{ server: Server; port: number }> => {
  const server = net.createServer(options, accept)
  if (!stays) server.once('connection', () => server.close())
  return { server, port: await listen(server) }
}

/** A name with an address of each family. */
const twoAddresses = (_name: string, _options: object, callback: (...args: unknown[]) => void): void => {
  const found = [
    { address: '::1', family: 6 },
    { address: '127.0.0.1', family: 4 },
  ]
  setImmediate(callback, null, found)
}

const closed = (...emitters: (Socket | Server)[]): Promise<unknown> =>
  Promise.all(emitters.map((emitter) => new Promise((resolve) => emitter.once('close', resolve))))

/** Says on which channels of `node:diagnostics_channel` something was told while `body` ran. */
const watching = async (names: readonly string[], body: () => Promise<unknown>): Promise<string[]> => {
  const told: string[] = []
  const watchers = names.map((name) => {
    const watch = (message: unknown): void => void told.push(`${name} ${Object.keys(message as object).join(',')}`)
    subscribe(name, watch)
    return () => unsubscribe(name, watch)
  })
  try {
    await body()
  } finally {
    for (const stop of watchers) stop()
  }
  return told
}

describe.each(implementations)('net: $name', ({ run }) => {
  it('is watched', async () => {
    const listening = ['asyncStart', 'asyncEnd', 'error'].map((event) => `tracing:net.server.listen:${event}`)
    const told = await run(({ net }) =>
      watching(['net.client.socket', 'net.server.socket', ...listening], async () => {
        const { server, port } = await serve(net, (socket) => socket.end())
        const client = net.connect(port, '127.0.0.1')
        const failing = net.createServer().listen(port, '127.0.0.1')
        await Promise.all([closed(client.resume(), server), once(failing, 'error')])
      }),
    )
    expect(told.sort()).toEqual([
      'net.client.socket socket',
      'net.server.socket socket',
      'tracing:net.server.listen:asyncEnd server',
      'tracing:net.server.listen:asyncStart server,options',
      'tracing:net.server.listen:asyncStart server,options',
      'tracing:net.server.listen:error server,error',
    ])
  })

  it('has methods that are found by going through them, and functions that may be called with new', async () => {
    const found = await run(async ({ net }) => {
      const names: string[] = []
      for (const name in net.Socket.prototype) if (!name.startsWith('_')) names.push(name)
      const make = net.createServer as unknown as new () => Server
      return [names.includes('setTimeout'), names.includes('remoteAddress'), new make() instanceof net.Server]
    })
    expect(found).toEqual([true, true, true])
  })

  it('shows lists and addresses as deep as it is asked to', async () => {
    const shown = await run(async ({ net }) => {
      const list = new net.BlockList()
      list.addAddress('1.2.3.4')
      const address = new net.SocketAddress({ port: 80 })
      return [
        ...[-1, 1, 2].map((depth) => inspect(list, { depth })),
        ...[-1, 1].map((depth) => inspect(address, { depth })),
        thrownBy(() => new net.SocketAddress({ family: 4 as never })),
      ]
    })
    expect(shown).toEqual([
      '[BlockList]',
      'BlockList { rules: [Array] }',
      "BlockList { rules: [ 'Address: IPv4 1.2.3.4' ] }",
      '[SocketAddress]',
      "SocketAddress { address: '127.0.0.1', port: 80, family: 'ipv4', flowlabel: 0 }",
      "name=TypeError message=The property 'options.family' is invalid. Received 4 code=ERR_INVALID_ARG_VALUE",
    ])
  })

  it('writes no text as a buffer', async () => {
    const thrown = await run(async ({ net }) => {
      const { server, port } = await serve(net, (socket) => socket.resume())
      const client = net.connect(port, '127.0.0.1')
      await once(client, 'connect')
      const error = thrownBy(() => client.write('text', 'buffer' as BufferEncoding))
      client.destroy()
      await closed(server)
      return error
    })
    expect(thrown).toBe('name=TypeError message=Second argument must be a buffer code=ERR_INVALID_ARG_TYPE')
  })

  it('tells of a connection, its data and its end in this order', async () => {
    const lines = await run(async ({ net }) => {
      const log = new Log()
      const { server, port } = await serve(net, (socket) => {
        log.follow('server side', socket, SOCKET_EVENTS)
        socket.pipe(socket)
      })
      log.follow('server', server, SERVER_EVENTS)
      const client = net.connect(port, '127.0.0.1')
      log.follow('client', client, SOCKET_EVENTS)
      client.end('hello')
      await closed(client, server)
      return log.lines
    })
    const of = (who: string): string[] => lines.filter((line) => line.startsWith(`${who}:`))
    expect(of('client')).toEqual([
      'client: connect',
      'client: ready',
      'client: finish',
      'client: data hello',
      'client: end',
      'client: close false',
    ])
    expect(of('server side')).toEqual([
      'server side: data hello',
      'server side: end',
      'server side: finish',
      'server side: close false',
    ])
    expect(of('server')).toEqual(['server: connection', 'server: close'])
  })

  it('says why there is no connection', async () => {
    const lines = await run(async ({ net }) => {
      const log = new Log()
      const { server, port } = await serve(net, () => {}, { stays: true })
      server.close()
      await closed(server)
      const client = net.connect(port, '127.0.0.1')
      log.follow('client', client, SOCKET_EVENTS)
      await new Promise((resolve) => client.once('close', resolve))
      log.say(`${client.connecting} ${client.destroyed} ${client.readyState} ${client.pending}`)
      return log.lines
    })
    expect(lines).toEqual([
      'client: error name=Error message=connect ECONNREFUSED 127.0.0.1:PORT code=ECONNREFUSED errno=-111 syscall=connect address=127.0.0.1',
      'client: close true',
      'false true closed true',
    ])
  })

  it('tries the addresses of a name, and gathers why each has failed', async () => {
    const result = await run(async ({ net }) => {
      const log = new Log()
      const { server, port } = await serve(net, () => {}, { stays: true })
      server.close()
      await closed(server)
      const client = net.connect({ port, host: 'two.example', lookup: twoAddresses as never, autoSelectFamily: true })
      log.follow('client', client, ['lookup', 'error', 'close'])
      client.once('error', (error: AggregateError) => {
        for (const one of error.errors) log.say(describeError(one))
      })
      await new Promise((resolve) => client.once('close', resolve))
      log.say(String(client.autoSelectFamilyAttemptedAddresses?.map((text) => text.replace(/\d+$/, 'PORT'))))
      return log.lines
    })
    expect(result).toEqual([
      'client: lookup ::1 6 two.example',
      'client: lookup 127.0.0.1 4 two.example',
      'client: error name=AggregateError message= code=ECONNREFUSED',
      'name=Error message=connect ECONNREFUSED ::1:PORT code=ECONNREFUSED errno=-111 syscall=connect address=::1',
      'name=Error message=connect ECONNREFUSED 127.0.0.1:PORT code=ECONNREFUSED errno=-111 syscall=connect address=127.0.0.1',
      'client: close true',
      '::1:PORT,127.0.0.1:PORT',
    ])
  })

  it('connects to the second address of a name when the first refuses', async () => {
    const reached = await run(async ({ net }) => {
      const { server, port } = await serve(net, (socket) => socket.end())
      const client = net.connect({ port, host: 'two.example', lookup: twoAddresses as never, autoSelectFamily: true })
      client.resume()
      await once(client, 'connect')
      const { remoteAddress, remoteFamily, localAddress } = client
      await closed(client, server)
      return [remoteAddress, remoteFamily, localAddress]
    })
    expect(reached).toEqual(['127.0.0.1', 'IPv4', '127.0.0.1'])
  })

  it('ends both directions when the other side ends, unless half-open is allowed', async () => {
    const lines = await run(async ({ net }) => {
      const log = new Log()
      for (const allowHalfOpen of [false, true]) {
        const { server, port } = await serve(net, (socket) => socket.resume().end('bye'))
        const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen })
        const over = closed(server)
        client.resume()
        await once(client, 'end')
        await sleep(20)
        log.say(`${allowHalfOpen}: writable ${client.writable}, ${client.readyState}`)
        client.end()
        await over
      }
      return log.lines
    })
    expect(lines).toEqual(['false: writable false, closed', 'true: writable true, writeOnly'])
  })

  it('refuses to write after the other side has ended', async () => {
    const lines = await run(async ({ net }) => {
      const log = new Log()
      const { server, port } = await serve(net, (socket) => socket.end())
      const client = net.connect(port, '127.0.0.1')
      log.follow('client', client, ['error', 'close'])
      client.resume()
      await once(client, 'end')
      await once(client, 'finish')
      client.write('late', (error) => log.say(`callback ${describeError(error)}`))
      await closed(client, server)
      return log.lines
    })
    expect(lines).toEqual([
      'callback name=Error message=This socket has been ended by the other party code=EPIPE',
      'client: close false',
    ])
  })

  it('holds writes until it is connected, and counts them', async () => {
    const result = await run(async ({ net }) => {
      const chunks: string[] = []
      const { server, port } = await serve(net, (socket) => socket.on('data', (data) => chunks.push(String(data))))
      const client = net.connect(port, '127.0.0.1')
      client.write('one ')
      client.write('two ', 'latin1')
      const before = client.bytesWritten
      await once(client, 'connect')
      await new Promise<void>((resolve) => {
        client.end('three', resolve)
      })
      await closed(server)
      return { before, after: client.bytesWritten, text: chunks.join('') }
    })
    expect(result).toEqual({ before: 8, after: 13, text: 'one two three' })
  })

  it('pushes back when nobody reads, and loses nothing', async () => {
    const size = 8 * 1024 * 1024
    const result = await run(async ({ net }) => {
      let reader: Socket | null = null
      const { server, port } = await serve(
        net,
        (socket) => {
          reader = socket
        },
        { pauseOnConnect: true },
      )
      const client = net.connect(port, '127.0.0.1')
      const went = client.write(Buffer.alloc(size, 7))
      await sleep(50)
      const held = client.writableLength > 0
      let count = 0
      reader!.on('data', (data: Buffer) => {
        count += data.length
      })
      reader!.resume()
      client.end()
      await closed(server)
      return { went, held, count, read: reader!.bytesRead }
    })
    expect(result).toEqual({ went: false, held: true, count: size, read: size })
  })

  it('tells of idleness, and goes on', async () => {
    const lines = await run(async ({ net }) => {
      const log = new Log()
      const { server, port } = await serve(net, (socket) => socket.resume())
      const client = net.connect(port, '127.0.0.1')
      log.follow('client', client, ['timeout', 'close'])
      client.setTimeout(30, () => client.end())
      log.say(`${client.timeout}`)
      await closed(client, server)
      return log.lines
    })
    expect(lines).toEqual(['30', 'client: timeout', 'client: close false'])
  })

  it('resets a connection', async () => {
    const lines = await run(async ({ net }) => {
      const log = new Log()
      let isOver = (): void => {}
      const over = new Promise<void>((resolve) => {
        isOver = resolve
      })
      const { server, port } = await serve(net, (socket) => {
        log.follow('server side', socket, SOCKET_EVENTS)
        socket.once('close', isOver)
      })
      const client = net.connect(port, '127.0.0.1', () => client.resetAndDestroy())
      log.follow('client', client, ['error', 'close'])
      await closed(client, server)
      await over
      return log.lines.sort()
    })
    expect(lines).toEqual([
      'client: close false',
      'server side: close true',
      'server side: error name=Error message=read ECONNRESET code=ECONNRESET errno=-104 syscall=read',
    ])
  })

  it('drops connections above its limit', async () => {
    const lines = await run(async ({ net }) => {
      const log = new Log()
      const { server, port } = await serve(net, (socket) => socket.resume(), { stays: true })
      server.maxConnections = 1
      log.follow('server', server, ['connection', 'drop'])
      server.once('drop', (info) => log.say(`${info?.localAddress} ${info?.remoteFamily}`))
      const first = net.connect(port, '127.0.0.1')
      await once(first, 'connect')
      const second = net
        .connect(port, '127.0.0.1')
        .resume()
        .on('error', () => {})
      await new Promise((resolve) => second.once('close', resolve))
      const count = await new Promise((resolve) => server.getConnections((_error, n) => resolve(n)))
      log.say(`${count}`)
      first.end()
      server.close()
      await closed(server)
      return log.lines
    })
    expect(lines).toEqual(['server: connection', 'server: drop', '127.0.0.1 IPv4', '1'])
  })

  it('ends what an AbortSignal ends', async () => {
    const lines = await run(async ({ net }) => {
      const log = new Log()
      const controller = new AbortController()
      const server = net.createServer()
      log.follow('server', server, SERVER_EVENTS)
      server.listen({ port: 0, host: '127.0.0.1', signal: controller.signal })
      await once(server, 'listening')
      const socket = new net.Socket({ signal: controller.signal })
      log.follow('socket', socket, ['error', 'close'])
      controller.abort()
      await closed(server, socket)
      return log.lines.sort()
    })
    expect(lines).toEqual([
      'server: close',
      'server: listening',
      'socket: close',
      'socket: error name=AbortError message=The operation was aborted code=ABORT_ERR',
    ])
  })

  it('reads into a buffer of the program', async () => {
    const result = await run(async ({ net }) => {
      const { server, port } = await serve(net, (socket) => socket.end('0123456789'))
      const buffer = Buffer.alloc(4)
      const seen: string[] = []
      const client = net.connect({
        port,
        host: '127.0.0.1',
        onread: {
          buffer,
          callback: (count, into) => {
            seen.push(String(into.subarray(0, count)))
            return true
          },
        },
      })
      client.on('data', () => seen.push('data'))
      await closed(client, server)
      return { seen, read: client.bytesRead }
    })
    expect(result).toEqual({ seen: ['0123', '4567', '89'], read: 10 })
  })

  it('listens where nobody does, and says why not elsewhere', async () => {
    const lines = await run(async ({ net }) => {
      const log = new Log()
      const { server, port } = await serve(net, () => {})
      const second = net.createServer()
      log.follow('second', second, SERVER_EVENTS)
      second.listen(port, '127.0.0.1')
      await once(second, 'error').catch(() => {})
      log.say(`${second.listening} ${second.address()}`)
      log.say(thrownBy(() => server.listen(0)))
      second.close((error) => log.say(describeError(error)))
      server.close()
      await closed(server)
      await sleep(1)
      return log.lines.map((line) => line.replace(/\d{5}/g, 'PORT'))
    })
    expect(lines).toEqual([
      'second: error name=Error message=listen EADDRINUSE: address already in use 127.0.0.1:PORT code=EADDRINUSE errno=-98 syscall=listen address=127.0.0.1',
      'false null',
      'name=Error message=Listen method has been called more than once without closing. code=ERR_SERVER_ALREADY_LISTEN',
      'second: close',
      'name=Error message=Server is not running. code=ERR_SERVER_NOT_RUNNING',
    ])
  })

  it('listens on both families unless told otherwise', async () => {
    const families = await run(async ({ net }) => {
      const found: unknown[] = []
      for (const options of [{ port: 0 }, { port: 0, host: '::', ipv6Only: true }, { port: 0, host: '127.0.0.1' }]) {
        const server = net.createServer((socket) => socket.end())
        const port = await listen(server, options)
        const client = net
          .connect(port, '127.0.0.1')
          .resume()
          .on('error', () => {})
        await new Promise((resolve) => client.once('close', resolve))
        const { address, family } = server.address() as AddressInfo
        found.push([address, family, client.errored === null])
        server.close()
        await closed(server)
      }
      return found
    })
    expect(families).toEqual([
      ['::', 'IPv6', true],
      ['::', 'IPv6', false],
      ['127.0.0.1', 'IPv4', true],
    ])
  })

  it('joins programs over a path', async () => {
    const result = await run(async ({ net }) => {
      const path = `/tmp/netglass-compliance-${process.pid}-${Math.random()}`
      const server = net.createServer((socket) => socket.end('from the path'))
      server.once('connection', () => server.close())
      server.listen(path)
      await once(server, 'listening')
      const client = net.connect(path).setEncoding('utf8')
      let text = ''
      client.on('data', (data) => {
        text += String(data)
      })
      const peer = [server.address() === path, client.remoteAddress, client.localPort]
      await closed(client, server)
      const after = net.connect(path)
      const [error] = (await once(after, 'error')) as [NodeJS.ErrnoException & { address: string }]
      return { text, peer, after: [error.code, error.syscall, error.address === path] }
    })
    expect(result).toEqual({
      text: 'from the path',
      peer: [true, undefined, undefined],
      after: ['ENOENT', 'connect', true],
    })
  })

  it('throws for what is no address', async () => {
    const thrown = await run(async ({ net }) => [
      thrownBy(() => net.connect({} as never)),
      thrownBy(() => net.connect({ port: 70_000 })),
      thrownBy(() => net.connect({ port: true as never })),
      thrownBy(() => net.connect({ port: 1, localAddress: 'nowhere' })),
      thrownBy(() => net.connect({ port: 1, localPort: 'x' as never })),
      thrownBy(() => net.connect({ port: 1, lookup: 5 as never, host: 'a.example' })),
      thrownBy(() => net.connect({ path: 5 as never })),
      thrownBy(() => net.createServer().listen({} as never)),
      thrownBy(() => net.createServer().listen(-1)),
      thrownBy(() => net.createServer('x' as never)),
      thrownBy(() => new net.Socket({ fd: -1 })),
      thrownBy(() => new net.Socket({ objectMode: true } as never)),
      thrownBy(() => new net.Socket().setTimeout('1' as never)),
      thrownBy(() => new net.Socket().setTimeout(-1)),
      thrownBy(() => new net.Socket().setTimeout(1, 5 as never)),
    ])
    expect(thrown).toEqual([
      'name=TypeError message=The "options" or "port" or "path" argument must be specified code=ERR_MISSING_ARGS',
      'name=RangeError message=Port should be >= 0 and < 65536. Received type number (70000). code=ERR_SOCKET_BAD_PORT',
      'name=TypeError message=The "options.port" property must be one of type number or string. Received type boolean (true) code=ERR_INVALID_ARG_TYPE',
      'name=TypeError message=Invalid IP address: nowhere code=ERR_INVALID_IP_ADDRESS',
      'name=TypeError message=The "options.localPort" property must be of type number. Received type string (\'x\') code=ERR_INVALID_ARG_TYPE',
      'name=TypeError message=The "options.lookup" property must be of type function. Received type number (5) code=ERR_INVALID_ARG_TYPE',
      'name=TypeError message=The "options.path" property must be of type string. Received type number (5) code=ERR_INVALID_ARG_TYPE',
      'name=TypeError message=The argument \'options\' must have the property "port" or "path". Received {} code=ERR_INVALID_ARG_VALUE',
      'name=RangeError message=options.port should be >= 0 and < 65536. Received type number (-1). code=ERR_SOCKET_BAD_PORT',
      'name=TypeError message=The "options" argument must be of type object. Received type string (\'x\') code=ERR_INVALID_ARG_TYPE',
      'name=RangeError message=The value of "fd" is out of range. It must be >= 0 && <= 2147483647. Received -1 code=ERR_OUT_OF_RANGE',
      "name=TypeError message=The property 'options.objectMode' is not supported. Received true code=ERR_INVALID_ARG_VALUE",
      'name=TypeError message=The "msecs" argument must be of type number. Received type string (\'1\') code=ERR_INVALID_ARG_TYPE',
      'name=RangeError message=The value of "msecs" is out of range. It must be a non-negative finite number. Received -1 code=ERR_OUT_OF_RANGE',
      'name=TypeError message=The "callback" argument must be of type function. Received type number (5) code=ERR_INVALID_ARG_TYPE',
    ])
  })

  it('knows addresses, and lists of those that are blocked', async () => {
    const result = await run(async ({ net }) => {
      const list = new net.BlockList()
      list.addAddress('123.123.123.123')
      list.addRange('10.0.0.1', '10.0.0.10')
      list.addSubnet('8592:757c:efae:4e45::', 64, 'ipv6')
      const checks = [
        ['123.123.123.123', 'ipv4'],
        ['10.0.0.3', 'ipv4'],
        ['222.111.111.222', 'ipv4'],
        ['::ffff:7b7b:7b7b', 'ipv6'],
        ['8592:757c:efae:4e45:1::', 'ipv6'],
      ] as const
      return {
        kinds: ['127.0.0.1', '::1', 'fe80::1%eth0', '01.2.3.4', '1.2.3', 'x', '::1%'].map((text) => net.isIP(text)),
        checks: checks.map(([address, family]) => list.check(address, family)),
        rules: [...list.rules],
        address: JSON.parse(JSON.stringify(new net.SocketAddress({ address: '1.2.3.4', port: 80 }))),
        wrong: [
          thrownBy(() => list.addAddress(1 as never)),
          thrownBy(() => list.addSubnet('1.2.3.4', 33)),
          thrownBy(() => new net.SocketAddress({ family: 'x' as never })),
        ],
      }
    })
    expect(result).toEqual({
      kinds: [4, 6, 6, 0, 0, 0, 0],
      checks: [true, true, false, true, true],
      rules: [
        'Subnet: IPv6 8592:757c:efae:4e45::/64',
        'Range: IPv4 10.0.0.1-10.0.0.10',
        'Address: IPv4 123.123.123.123',
      ],
      address: { address: '1.2.3.4', port: 80, family: 'ipv4', flowlabel: 0 },
      wrong: [
        'name=TypeError message=The "address" argument must be of type string. Received type number (1) code=ERR_INVALID_ARG_TYPE',
        'name=RangeError message=The value of "prefix" is out of range. It must be >= 0 && <= 32. Received 33 code=ERR_OUT_OF_RANGE',
        "name=TypeError message=The property 'options.family' is invalid. Received 'x' code=ERR_INVALID_ARG_VALUE",
      ],
    })
  })
})
