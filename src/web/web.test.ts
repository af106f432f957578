import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NodeNetwork } from '../node/network.ts'
import type { NodeHost } from '../node/node-host.ts'
import { connect } from '../node/web.ts'
import type { ServeHandler } from './serve.ts'

let network: NodeNetwork
let client: NodeHost
let server: NodeHost

beforeEach(() => {
  network = new NodeNetwork({ seed: 3 })
  client = network.host('client')
  server = network.host('server')
  network.link(client, server, { delay: 10, addresses: ['10.0.0.1/24', '10.0.0.2/24'] })
})
afterEach(() => network.close())

const textOf = async (stream: ReadableStream<Uint8Array>): Promise<string> => new Response(stream as never).text()
const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

/** What `body` gives with a server that answers so. */
const serving = <T>(handler: ServeHandler, body: () => Promise<T>): Promise<T> =>
  network.run(async () => {
    const running = server.web.serve(handler)
    try {
      return await body()
    } finally {
      await running.shutdown()
    }
  })

/** What a raw exchange with the server brings back. */
const raw = async (request: string): Promise<string> => {
  const socket = client.web.connect('server:80')
  const writer = socket.writable.getWriter()
  await writer.write(encode(request))
  const answer = await textOf(socket.readable)
  await writer.close().catch(() => {})
  return answer
}

describe('connect and listen', () => {
  it('join two hosts by streams', async () => {
    const result = await network.run(async () => {
      const listener = server.web.listen({ port: 7 })
      const echoing = (async () => {
        const socket = await listener.accept()
        await socket.readable.pipeTo(socket.writable)
        await socket.closed
      })()
      const socket = client.web.connect({ hostname: 'server', port: 7 }, { allowHalfOpen: true })
      const opened = await socket.opened
      const writer = socket.writable.getWriter()
      await writer.write(encode('hello '))
      await writer.write(encode('streams'))
      await writer.close()
      const text = await textOf(socket.readable)
      await Promise.all([socket.closed, echoing])
      listener.close()
      return { remote: opened.remoteAddress, text, addr: listener.addr.transport }
    })
    expect(result).toEqual({ remote: '10.0.0.2:7', text: 'hello streams', addr: 'tcp' })
  })

  it('say why not', async () => {
    const causes = await network.run(async () => {
      const refused = client.web.connect('10.0.0.2:9')
      const unknown = client.web.connect('nobody:9')
      const reason = (error: TypeError) => [error.constructor.name, (error.cause as { code: string }).code]
      return [
        await refused.opened.catch(reason),
        await unknown.closed.catch(reason),
        await refused.closed.catch(reason),
      ]
    })
    expect(causes).toEqual([
      ['TypeError', 'ECONNREFUSED'],
      ['TypeError', 'ENOTFOUND'],
      ['TypeError', 'ECONNREFUSED'],
    ])
    expect(() => client.web.connect('no port')).toThrow('no port is no address: write host:port, or [::1]:port')
    expect(() => connect('10.0.0.2:9')).toThrow('belong to a host')
  })

  it('hold up who writes while nobody reads', async () => {
    const result = await network.run(async () => {
      const listener = server.web.listen({ port: 7 })
      const socket = client.web.connect('server:7')
      const peer = await listener.accept()
      const writer = socket.writable.getWriter()
      let written = 0
      const writing = (async () => {
        for (let i = 0; i < 256; i++) {
          await writer.write(new Uint8Array(65_536))
          written += 65_536
        }
        await writer.close()
      })()
      await new Promise((resolve) => setTimeout(resolve, 60_000))
      const held = written
      let read = 0
      for await (const chunk of peer.readable as unknown as AsyncIterable<Uint8Array>) read += chunk.length
      await writing
      listener.close()
      return { held, read }
    })
    expect(result.read).toBe(256 * 65_536)
    // Both sockets' buffers, and no more.
    expect(result.held).toBeGreaterThan(100_000)
    expect(result.held).toBeLessThan(12_000_000)
  })
})

describe('fetch and serve', () => {
  it('exchange requests and responses over one connection', async () => {
    const peers = new Set<number>()
    const result = await serving(
      async (request, { remoteAddr }) => {
        peers.add(remoteAddr.port)
        const url = new URL(request.url)
        return Response.json(
          { method: request.method, path: url.pathname + url.search, body: await request.text() },
          { status: 201, headers: { 'x-from': remoteAddr.hostname } },
        )
      },
      async () => {
        const first = await client.web.fetch('http://server/a?b=1')
        const one = [first.status, first.headers.get('x-from'), await first.json()]
        const second = await client.web.fetch('http://server/c', { method: 'POST', body: 'posted' })
        return [one, await second.json(), second.url, second.ok]
      },
    )
    expect(result).toEqual([
      [201, '::ffff:10.0.0.1', { method: 'GET', path: '/a?b=1', body: '' }],
      { method: 'POST', path: '/c', body: 'posted' },
      'http://server/c',
      true,
    ])
    expect(peers.size).toBe(1)
  })

  it('stream bodies both ways', async () => {
    const result = await serving(
      (request) => new Response(request.body),
      async () => {
        let sent = 0
        const body = new ReadableStream<Uint8Array>({
          pull: (controller) => {
            if (sent === 3_000_000) controller.close()
            else {
              controller.enqueue(new Uint8Array(100_000).fill(sent / 100_000))
              sent += 100_000
            }
          },
        })
        const init = { method: 'POST', body, duplex: 'half' } as RequestInit
        const response = await client.web.fetch('http://server/', init)
        const bytes = new Uint8Array(await response.arrayBuffer())
        return [bytes.length, bytes[0], bytes[2_999_999], response.headers.get('transfer-encoding')]
      },
    )
    expect(result).toEqual([3_000_000, 0, 29, 'chunked'])
  })

  it('hold up who sends a body that nobody reads', async () => {
    let made = 0
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        made += 65_536
        controller.enqueue(new Uint8Array(65_536))
      },
    })
    const held = await serving(
      () => new Response(endless),
      async () => {
        const controller = new AbortController()
        await client.web.fetch('http://server/', { signal: controller.signal })
        await new Promise((resolve) => setTimeout(resolve, 60_000))
        const sofar = made
        await new Promise((resolve) => setTimeout(resolve, 60_000))
        controller.abort()
        return [sofar, made]
      },
    )
    expect(held[1]).toBe(held[0])
    expect(held[0]).toBeGreaterThan(100_000)
    expect(held[0]).toBeLessThan(12_000_000)
  })

  it('are ended by an AbortSignal', async () => {
    let ended: unknown = null
    const result = await serving(
      (request) =>
        new Promise((resolve) => {
          request.signal.addEventListener('abort', () => {
            ended = 'the request was aborted'
            resolve(new Response('too late'))
          })
        }),
      async () => {
        const reason = await client.web
          .fetch('http://server/', { signal: AbortSignal.timeout(1000) })
          .catch((error: Error) => error.name)
        const early = await client.web
          .fetch('http://server/', { signal: AbortSignal.abort(new Error('never mind')) })
          .catch((error: Error) => error.message)
        await new Promise((resolve) => setTimeout(resolve, 1000))
        return [reason, early]
      },
    )
    expect(result).toEqual(['TimeoutError', 'never mind'])
    expect(ended).toBe('the request was aborted')
  })

  it('fail with a TypeError that has its cause', async () => {
    const result = await network.run(async () => {
      const seen = (error: TypeError & { cause: { code?: string } }) => [
        error.constructor.name,
        error.message,
        error.cause?.code,
      ]
      const listener = server.web.listen({ port: 81 })
      const cut = (async () => {
        const socket = await listener.accept()
        const writer = socket.writable.getWriter()
        await writer.write(encode('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'))
        await writer.close()
      })()
      const answers = [
        await client.web.fetch('http://server/').catch(seen),
        await client.web.fetch('http://nobody.example/').catch(seen),
        await client.web.fetch('https://server/').catch(seen),
        await (await client.web.fetch('http://server:81/')).text().catch((error: Error) => error.message),
      ]
      await cut
      listener.close()
      return answers
    })
    expect(result).toEqual([
      ['TypeError', 'fetch failed', 'ECONNREFUSED'],
      ['TypeError', 'fetch failed', 'ENOTFOUND'],
      ['TypeError', 'fetch failed: https: is not spoken here', undefined],
      'the connection has ended before the body',
    ])
  })

  it('follow redirects', async () => {
    const result = await serving(
      (request) => {
        const { pathname } = new URL(request.url)
        if (pathname === '/end') return new Response(`${request.method} ${pathname}`)
        return new Response(null, { status: 302, headers: { location: '/end' } })
      },
      async () => {
        const followed = await client.web.fetch('http://server/', { method: 'POST', body: 'x' })
        const manual = await client.web.fetch('http://server/', { redirect: 'manual' })
        const refused = await client.web
          .fetch('http://server/', { redirect: 'error' })
          .catch((error: Error) => error.message)
        return [await followed.text(), followed.redirected, followed.url, manual.status, refused]
      },
    )
    expect(result).toEqual(['GET /end', true, 'http://server/end', 302, 'fetch failed: there was a redirect'])
  })

  it('answer what is malformed, and go on without it', async () => {
    const result = await serving(
      () => {
        throw new Error('a mistake')
      },
      async () => [
        await raw('nonsense\r\n\r\n'),
        (await raw('GET / HTTP/1.1\r\nHost: server\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'))
          .split('\r\n')
          .at(-1),
        (await raw(`GET / HTTP/1.1\r\nx: ${'y'.repeat(70_000)}\r\n\r\n`)).split('\r\n')[0],
        (await raw('GET / HTTP/1.0\r\nHost: server\r\n\r\n')).split('\r\n'),
        (await raw('HEAD / HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n')).split('\r\n').at(-1),
      ],
    )
    expect(result).toEqual([
      'HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 29\r\nconnection: close\r\n\r\nthe request line is malformed',
      'the message has both a length and a transfer coding',
      'HTTP/1.1 431 Bad Request',
      ['HTTP/1.1 500 ', 'connection: close', 'content-type: text/plain;charset=UTF-8', '', 'Internal Server Error'],
      '',
    ])
  })
})
