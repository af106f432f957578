import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** The command `netglass run`, run as a program. */

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'netglass-run-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const file = (name: string, text: string): string => {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const run = (...args: string[]): { status: number | null; out: string; err: string } => {
  const main = join(import.meta.dirname, '../../src/cli/main.ts')
  // The programs run in a folder from which no package can be found.
  const tsx = join(import.meta.dirname, '../../node_modules/tsx/dist/loader.mjs')
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', tsx, main, 'run', ...args], {
    encoding: 'utf8',
    timeout: 30_000,
    cwd: folder,
  })
  return { status, out: stdout, err: stderr }
}

const network = (hosts: object): string =>
  file('net.json', JSON.stringify({ hosts, links: [{ between: ['client', 'server'], delay: 5 }] }))

const SERVER = `
  require('node:http')
    .createServer((request, response) => {
      response.end(request.method + ' ' + request.url + ' from ' + request.socket.remoteAddress)
    })
    .listen(80, '0.0.0.0')`

describe('netglass run', { timeout: 60_000 }, () => {
  it('runs an unmodified HTTP client and server on two hosts of a network file', () => {
    file('server.cjs', SERVER)
    const client = file(
      'client.mjs',
      `import http from 'node:http'
       http.get('http://server/a', (response) => {
         response.setEncoding('utf8').on('data', (text) => console.log(response.statusCode, text))
         response.on('end', async () => {
           console.log(await (await fetch('http://10.0.0.2/b', { method: 'POST' })).text())
           process.exit(3)
         })
       })`,
    )
    const hosts = { client: {}, server: { run: 'server.cjs' } }
    const { status, out, err } = run('--network', network(hosts), '--host', 'client', '--', client)
    expect(err).toBe('')
    expect(out).toBe('200 GET /a from 10.0.0.1\nPOST /b from 10.0.0.1\n')
    expect(status).toBe(3)
  })

  it('ends when the program has nothing more to wait for, and gives its error as the kernel would', () => {
    const program = file(
      'refused.cjs',
      `require('net').connect(81, '127.0.0.1').on('error', ({ message, errno, syscall, address, port }) =>
         console.log(message, errno, syscall, address, port))`,
    )
    const { status, out, err } = run('--', program)
    expect(err).toBe('')
    expect(out).toBe('connect ECONNREFUSED 127.0.0.1:81 -111 connect 127.0.0.1 81\n')
    expect(status).toBe(0)
  })

  it('says in one line what is wrong with a network file', () => {
    const program = file('nothing.cjs', '')
    const bad = file('bad.json', JSON.stringify({ hosts: { a: {} }, links: [{ between: ['a', 'b'] }] }))
    expect(run('--network', bad, '--', program)).toEqual({
      status: 1,
      out: '',
      err: `netglass: ${bad}: a link ends at b, which is no host\n`,
    })
  })
})
