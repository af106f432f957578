import { expect, it } from 'vitest'
import type { Sys } from '../host/calls.ts'
import { Network } from '../sim/network.ts'
import { AF_INET, SOCK_STREAM } from '../socket/constants.ts'
import { MemoryFiles } from './files.ts'
import { type HttpLogEntry, httpServer } from './http.ts'
import { httpGet } from './http-client.ts'
import { dateText, SMALL_SERVICES, smallServer } from './small.ts'

const open = async (sys: Sys, port: number): Promise<number> => {
  const fd = sys.socket(AF_INET, SOCK_STREAM)
  await sys.connect(fd, { address: '10.0.0.2', port })
  return fd
}

/** Sends raw text and returns everything that comes back until the server closes. */
const raw = async (sys: Sys, text: string): Promise<string> => {
  const fd = await open(sys, 80)
  await sys.send(fd, text)
  let answer = ''
  const buffer = new Uint8Array(65_536)
  for (let n = await sys.recv(fd, buffer); n > 0; n = await sys.recv(fd, buffer)) {
    answer += new TextDecoder().decode(buffer.subarray(0, n))
  }
  await sys.close(fd)
  return answer
}

const run = async (program: (sys: Sys) => Promise<void>): Promise<{ files: MemoryFiles; log: HttpLogEntry[] }> => {
  const network = new Network()
  const client = network.host('client')
  const server = network.host('server')
  network.link(client, server, { delay: 1 })
  const files = new MemoryFiles({ '/index.txt': 'hello\n', '/a/b.bin': new Uint8Array(300_000).fill(7) })
  const log: HttpLogEntry[] = []
  server.spawn(
    'http',
    httpServer(files, 80, (entry) => log.push(entry)),
  )
  for (const name of Object.keys(SMALL_SERVICES)) server.spawn(name, smallServer(name))
  const process = client.spawn('client', program)
  await network.runProcess(process, 60_000)
  expect(process.status).toBe(0)
  // The server notes a refusal when the client has gone.
  await network.run(1000)
  network.close()
  return { files, log }
}

it('serves files, directories and errors', async () => {
  const { log } = await run(async (sys) => {
    let size = 0
    const fd = await open(sys, 80)
    const answer = await httpGet(sys, fd, 'server', '/a/b.bin', (bytes) => {
      size += bytes.length
    })
    expect(answer.status).toBe(200)
    expect(size).toBe(300_000)
    await sys.close(fd)
    const keepAlive =
      'GET /index.txt HTTP/1.1\r\nHost: x\r\n\r\nHEAD /index.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
    const both = await raw(sys, keepAlive)
    expect(both.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(2)
    expect(both).toContain('hello\n')
    expect(await raw(sys, 'GET /none HTTP/1.0\r\n\r\n')).toContain('404 Not Found: there is no /none')
    expect(await raw(sys, 'GET /../../a/ HTTP/1.0\r\n\r\n')).toMatch(/\r\n\r\nb\.bin\n$/)
    expect(
      await raw(sys, 'GET /index.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=1-3\r\nConnection: close\r\n\r\n'),
    ).toMatch(/206 Partial Content.*Content-Range: bytes 1-3\/6.*\r\n\r\nell$/s)
    expect(await raw(sys, 'BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n')).toContain('501 Not Implemented')
    expect(await raw(sys, 'nonsense\r\n\r\n')).toContain('400 Bad Request')
    expect(await raw(sys, `GET /${'x'.repeat(20_000)} HTTP/1.1\r\n\r\n`)).toContain('431')
  })
  expect(log.map((entry) => entry.status)).toEqual([200, 200, 200, 404, 200, 206, 501, 400, 431])
})

it('takes uploads, with a length and in chunks, and keeps nothing of one that breaks off', async () => {
  const { files } = await run(async (sys) => {
    expect(
      await raw(sys, 'PUT /up HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\n12345'),
    ).toContain('201')
    expect(
      await raw(
        sys,
        'PUT /chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n',
      ),
    ).toContain('201')
    const fd = await open(sys, 80)
    await sys.send(fd, 'PUT /broken HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nshort')
    await sys.close(fd)
    await sys.sleep(1)
  })
  expect(new TextDecoder().decode(files.get('/up'))).toBe('12345')
  expect(new TextDecoder().decode(files.get('/chunks'))).toBe('abcde')
  expect(files.get('/broken')).toBeUndefined()
})

it('reads bodies that it has no use for, and tells what becomes of the connection', async () => {
  const { files, log } = await run(async (sys) => {
    const get = 'GET /index.txt HTTP/1.1\r\nHost: x\r\n'
    const chunked = 'Transfer-Encoding: chunked\r\n\r\n3;why\r\nGET\r\n0\r\n\r\n'
    const close = `${get}Connection: close\r\n\r\n`
    const three = await raw(sys, `${get}Content-Length: 6\r\n\r\nGET / ${get}${chunked}${close}`)
    expect(three.match(/HTTP\/1\.1 \d+ \w+/g)).toEqual(['HTTP/1.1 200 OK', 'HTTP/1.1 200 OK', 'HTTP/1.1 200 OK'])
    expect(three.match(/Connection: .*/g)).toEqual([
      'Connection: keep-alive',
      'Connection: keep-alive',
      'Connection: close',
    ])
    expect(await raw(sys, 'HEAD /none HTTP/1.1\r\nHost: x\r\n\r\n')).toMatch(/^HTTP\/1\.1 404 [\s\S]*\r\n\r\n$/)
    const coded = 'PUT /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'
    expect(await raw(sys, coded)).toContain('501 Not Implemented: there is no coding gzip, chunked here')
    expect(await raw(sys, `${get}Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n`)).toContain(
      '400 Bad Request',
    )
    expect(await raw(sys, 'GET / HTTP/1.1\r\n\r\n')).toContain('400 Bad Request: a Host field is missing')
  })
  expect(log.map(({ status }) => status)).toEqual([200, 200, 200, 404, 501, 400, 400])
  expect(files.get('/up')).toBeUndefined()
})

it('runs the small services', async () => {
  await run(async (sys) => {
    const buffer = new Uint8Array(200)
    const echo = await open(sys, 7)
    await sys.send(echo, 'abc')
    expect(await sys.recv(echo, buffer)).toBe(3)
    const chargen = await open(sys, 19)
    await sys.recv(chargen, buffer, 148, 0x100)
    const text = new TextDecoder().decode(buffer.subarray(0, 148))
    expect(text.split('\r\n')[0]).toBe(' !"#$%&\'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg')
    expect(text.split('\r\n')[1]).toBe('!"#$%&\'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh')
    const daytime = await open(sys, 13)
    const n = await sys.recv(daytime, buffer)
    expect(new TextDecoder().decode(buffer.subarray(0, n))).toBe('01 JAN 2026 00:00:00 UTC\r\n')
    const time = await open(sys, 37)
    expect(await sys.recv(time, buffer)).toBe(4)
    expect(new DataView(buffer.buffer).getUint32(0)).toBe(1_767_225_600 + 2_208_988_800)
  })
})

it('knows the calendar', () => {
  for (const seconds of [
    0, 951_782_400, 1_709_164_800, 1_709_251_200, 4_102_444_799, 68_256_000, -1, -86_400, -86_401,
  ]) {
    const [day, month, year, clock] = dateText(seconds).split(' ')
    const expected = new Date(seconds * 1000).toUTCString()
    expect(expected.toUpperCase()).toContain(`${day} ${month} ${year} ${clock}`)
  }
})
