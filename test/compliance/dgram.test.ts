import type { Socket } from 'node:dgram'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { implementations } from './implementations.ts'
import { Log, thrownBy } from './log.ts'

const EVENTS = ['listening', 'message', 'connect', 'error', 'close']

const bound = async (socket: Socket): Promise<number> => {
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return socket.address().port
}

const closed = async (...sockets: Socket[]): Promise<void> => {
  const all = Promise.all(sockets.map((socket) => once(socket, 'close')))
  for (const socket of sockets) socket.close()
  await all
}

describe.each(implementations)('dgram: $name', ({ run }) => {
  it('is watched', async () => {
    const told: unknown[] = []
    const watch = (message: unknown): void => void told.push(message)
    subscribe('udp.socket', watch)
    const socket = await run(async ({ dgram }) => dgram.createSocket('udp4').close())
    unsubscribe('udp.socket', watch)
    expect(told).toEqual([{ socket }])
  })

  it('carries datagrams, in one piece or several', async () => {
    const result = await run(async ({ dgram }) => {
      const log = new Log()
      const server = dgram.createSocket('udp4', (message, { address, family, size }) =>
        log.say(`${message} from ${address} ${family} ${size}`),
      )
      const port = await bound(server)
      const client = dgram.createSocket('udp4')
      log.follow('client', client, EVENTS)
      // Before it is bound, which it is by sending.
      client.send('first', port, '127.0.0.1', (error, bytes) => log.say(`sent ${error} ${bytes}`))
      await once(server, 'message')
      client.send([Buffer.from('se'), 'co', new Uint8Array([110, 100])], port)
      await once(server, 'message')
      client.send('xthirdx', 1, 5, port, '127.0.0.1')
      await once(server, 'message')
      client.send([], port, '127.0.0.1')
      await once(server, 'message')
      await closed(client, server)
      return log.lines
    })
    expect(result).toEqual([
      'client: listening',
      'sent null 5',
      'first from 127.0.0.1 IPv4 5',
      'second from 127.0.0.1 IPv4 6',
      'third from 127.0.0.1 IPv4 5',
      ' from 127.0.0.1 IPv4 0',
      'client: close',
    ])
  })

  it('connects, answers, and disconnects', async () => {
    const result = await run(async ({ dgram }) => {
      const log = new Log()
      const server = dgram.createSocket('udp4')
      const port = await bound(server)
      server.on('message', (message, from) => server.send(`re: ${message}`, from.port, from.address))
      const client = dgram.createSocket('udp4')
      client.connect(port, '127.0.0.1')
      await once(client, 'connect')
      log.say(`${client.remoteAddress().address} ${client.remoteAddress().port === port}`)
      log.say(thrownBy(() => client.connect(port)))
      log.say(thrownBy(() => client.send('x', 0, 1, port, '127.0.0.1')))
      client.send('hi', (error, bytes) => log.say(`sent ${error} ${bytes}`))
      const [message] = (await once(client, 'message')) as [Buffer]
      log.say(String(message))
      client.disconnect()
      log.say(thrownBy(() => client.remoteAddress()))
      log.say(thrownBy(() => client.disconnect()))
      await closed(client, server)
      return log.lines
    })
    expect(result).toEqual([
      '127.0.0.1 true',
      'name=Error message=Already connected code=ERR_SOCKET_DGRAM_IS_CONNECTED',
      'name=Error message=Already connected code=ERR_SOCKET_DGRAM_IS_CONNECTED',
      'sent null 2',
      're: hi',
      'name=Error message=Not connected code=ERR_SOCKET_DGRAM_NOT_CONNECTED',
      'name=Error message=Not connected code=ERR_SOCKET_DGRAM_NOT_CONNECTED',
    ])
  })

  it('tells a connected socket that nobody is there', async () => {
    const result = await run(async ({ dgram }) => {
      const log = new Log()
      const nobody = dgram.createSocket('udp4')
      const port = await bound(nobody)
      await closed(nobody)
      const client = dgram.createSocket('udp4')
      client.connect(port, '127.0.0.1')
      await once(client, 'connect')
      log.follow('client', client, ['error'])
      client.send('hi')
      await once(client, 'error').catch(() => {})
      await closed(client)
      return log.lines
    })
    expect(result).toEqual([
      'client: error name=Error message=recvmsg ECONNREFUSED code=ECONNREFUSED errno=-111 syscall=recvmsg',
    ])
  })

  it('refuses an address that is taken, unless both reuse it', async () => {
    const result = await run(async ({ dgram }) => {
      const log = new Log()
      for (const reuseAddr of [false, true]) {
        const one = dgram.createSocket({ type: 'udp4', reuseAddr })
        const port = await bound(one)
        const other = dgram.createSocket({ type: 'udp4', reuseAddr })
        const outcome = new Promise<string>((resolve) => {
          other.once('error', (error) => resolve(error.message.replace(/\d{4,5}/, 'PORT')))
          other.once('listening', () => resolve('listening'))
        })
        other.bind(port, '127.0.0.1')
        log.say(await outcome)
        await closed(one, other)
      }
      return log.lines
    })
    expect(result).toEqual(['bind EADDRINUSE 127.0.0.1:PORT', 'listening'])
  })

  it('has options, and says what is wrong with them', async () => {
    const result = await run(async ({ dgram }) => {
      const early = dgram.createSocket('udp4')
      const before = [
        thrownBy(() => early.setBroadcast(true)),
        thrownBy(() => early.setTTL(1)),
        thrownBy(() => early.address()),
        thrownBy(() => early.setMulticastInterface('127.0.0.1')),
        thrownBy(() => early.addMembership('' as never)),
        thrownBy(() => dgram.createSocket('udp5' as never)),
        thrownBy(() => early.send(undefined as never)),
        thrownBy(() => early.send('x', 0)),
        thrownBy(() => early.send('x', 0, 2, 9, '127.0.0.1')),
      ]
      await bound(early)
      early.setBroadcast(true)
      early.setSendBufferSize(8192)
      const after = [
        early.setTTL(9),
        early.setMulticastTTL(3),
        early.setMulticastLoopback(false),
        early.getSendBufferSize(),
      ]
      const wrong = [
        thrownBy(() => early.addMembership('1.2.3.4')),
        thrownBy(() => early.setTTL(0)),
        thrownBy(() => early.setTTL('x' as never)),
        thrownBy(() => early.setRecvBufferSize(-1)),
        thrownBy(() => early.bind(0)),
      ]
      await closed(early)
      return { before, after, wrong, closed: thrownBy(() => early.send('x', 9, '127.0.0.1')) }
    })
    expect(result).toEqual({
      before: [
        'name=Error message=setBroadcast EBADF code=EBADF errno=-9 syscall=setBroadcast',
        'name=Error message=setTTL EBADF code=EBADF errno=-9 syscall=setTTL',
        'name=Error message=getsockname EBADF code=EBADF errno=-9 syscall=getsockname',
        'name=Error message=setMulticastInterface EBADF code=EBADF errno=-9 syscall=setMulticastInterface',
        'name=TypeError message=The "multicastAddress" argument must be specified code=ERR_MISSING_ARGS',
        'name=TypeError message=Bad socket type specified. Valid types are: udp4, udp6 code=ERR_SOCKET_BAD_TYPE',
        'name=TypeError message=The "buffer" argument must be of type string or an instance of Buffer, TypedArray, or DataView. Received undefined code=ERR_INVALID_ARG_TYPE',
        'name=RangeError message=Port should be > 0 and < 65536. Received type number (0). code=ERR_SOCKET_BAD_PORT',
        'name=RangeError message="length" is outside of buffer bounds code=ERR_BUFFER_OUT_OF_BOUNDS',
      ],
      after: [9, 3, false, 16_384],
      wrong: [
        'name=Error message=addMembership EINVAL code=EINVAL errno=-22 syscall=addMembership',
        'name=Error message=setTTL EINVAL code=EINVAL errno=-22 syscall=setTTL',
        'name=TypeError message=The "ttl" argument must be of type number. Received type string (\'x\') code=ERR_INVALID_ARG_TYPE',
        'name=TypeError message=Buffer size must be a positive integer code=ERR_SOCKET_BAD_BUFFER_SIZE',
        'name=Error message=Socket is already bound code=ERR_SOCKET_ALREADY_BOUND',
      ],
      closed: 'name=Error message=Not running code=ERR_SOCKET_DGRAM_NOT_RUNNING',
    })
  })

  it('is closed by an AbortSignal', async () => {
    const lines = await run(async ({ dgram }) => {
      const log = new Log()
      const controller = new AbortController()
      const socket = dgram.createSocket({ type: 'udp4', signal: controller.signal })
      log.follow('socket', socket, EVENTS)
      await bound(socket)
      controller.abort()
      await once(socket, 'close')
      return log.lines
    })
    expect(lines).toEqual(['socket: listening', 'socket: close'])
  })
})
