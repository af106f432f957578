import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { COMMAND } from '../support/command.ts'

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
  // The programs run in a folder from which no package can be found.
  const options = { encoding: 'utf8', cwd: folder } as const
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, 'run', ...args], options)
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

describe('netglass run', () => {
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

  it.each([[[]], [['--virtual-time']]])('says in one line what is wrong with a network file, %j', (options) => {
    const program = file('program.cjs', '')
    const failure = (text: string, ...more: string[]): string => {
      const { status, out, err } = run('--network', file('wrong.json', text), ...more, ...options, '--', program)
      expect([status, out]).toEqual([1, ''])
      return err.replaceAll(join(folder, 'wrong.json'), 'FILE')
    }
    expect(failure('{"hosts":')).toBe('netglass: FILE: Unexpected end of JSON input\n')
    expect(failure('{"hosts":{"a":{}}}', '--host', 'b')).toBe('netglass: FILE has no host b: choose from a\n')
    const unplugged = '{"hosts":{"a":{}},"links":[{"between":["a","b"]}]}'
    expect(failure(unplugged)).toBe('netglass: FILE: a link ends at b, which is no host\n')
  })
})

describe('looking into what runs', () => {
  const own = { ...process.env }
  beforeAll(() => {
    own['XDG_RUNTIME_DIR'] = folder
  })

  const start = async (...args: string[]) => {
    const child = spawn(process.execPath, [COMMAND, 'run', ...args], { cwd: folder, env: own })
    child.stderr.pipe(process.stderr)
    await once(child.stdout, 'data')
    return child
  }
  const netglass = (...args: string[]): { status: number | null; out: string; err: string } => {
    const options = { encoding: 'utf8', cwd: folder, env: own } as const
    const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, ...args], options)
    return { status, out: stdout, err: stderr }
  }

  it('finds the hosts of a program by their names', async () => {
    file('server.cjs', `require('node:net').createServer().listen(80, '0.0.0.0')`)
    const client = file(
      'asker.cjs',
      `const socket = require('node:net').connect(80, 'server', () => console.log('connected'))
       process.on('SIGTERM', () => process.exit(0))`,
    )
    const hosts = { client: {}, server: { run: 'server.cjs' } }
    const child = await start('--network', network(hosts), '--host', 'client', '--', client)
    expect(netglass('stacks').out).toMatch(/^NAME +PID +SINCE\nclient +\d+ +\S+Z\nserver +\d+ +\S+Z\n$/)
    expect(netglass('ss', '-tanH', '--stack', 'server').out.replace(/ +/g, ' ')).toMatch(
      /^LISTEN 0 511 0\.0\.0\.0:80 0\.0\.0\.0:\* ?\nESTAB 0 0 10\.0\.0\.2:80 10\.0\.0\.1:\d+ ?\n$/,
    )
    expect(netglass('netstat', '-ant')).toEqual({
      status: 1,
      out: '',
      err: 'netglass: several stacks are running, say which with --stack: client, server\n',
    })
    child.kill()
    await once(child, 'exit')
    expect(netglass('stacks').out).toBe('NAME      PID  SINCE\n')
  })

  it('names a program alone after its file, and twice with its process id', async () => {
    const waits = file('waits.cjs', `require('node:net').createServer().listen(81, () => console.log('listens'))`)
    const first = await start('--', waits)
    expect(netglass('ss', '-ltnH').out).toContain('*:81')
    const second = await start('--', waits)
    expect(
      netglass('stacks')
        .out.split('\n')
        .map((row) => row.split(' ')[0]),
    ).toEqual(['NAME', 'waits', expect.stringMatching(/^waits-\d+$/), ''])
    expect(netglass('run', '--name', 'waits', '--', waits)).toEqual({
      status: 1,
      out: '',
      err: expect.stringMatching(
        /^netglass: a stack named waits is running already \(pid \d+\): choose another name\n$/,
      ),
    })
    for (const child of [first, second]) child.kill()
    await Promise.all([first, second].map((child) => once(child, 'exit')))
  })

  it('runs in virtual time, the same from one seed, until nothing is left that could happen', () => {
    file('server.cjs', SERVER)
    const client = file(
      'late.mjs',
      `import { readFile } from 'node:fs/promises'
       const start = Date.now()
       const ask = async () => {
         const text = await (await fetch('http://server/' + (await readFile('word.txt', 'utf8')))).text()
         console.log(Date.now() - start, performance.now().toFixed(3), text)
         setTimeout(ask, 600_000)
       }
       if (new Date(start).getUTCFullYear() === 2026) setTimeout(ask, 3_600_000)
       setTimeout(() => process.exit(4), 5_400_000)`,
    )
    file('word.txt', 'word')
    const links = [{ between: ['client', 'server'], delay: 5, jitter: 3, loss: 0.1 }]
    const net = file('lossy.json', JSON.stringify({ hosts: { client: {}, server: { run: 'server.cjs' } }, links }))
    const [first, again, other] = ['5', '5', '6'].map((seed) =>
      run('--network', net, '--virtual-time', '--seed', seed, '--', client),
    )
    expect(first!.err).toBe('')
    expect(first!.out.split('\n').map((line) => line.replace(/^\d+ [\d.]+ /, ''))).toEqual([
      ...['GET /word from 10.0.0.1', 'GET /word from 10.0.0.1', 'GET /word from 10.0.0.1', ''],
    ])
    expect(first!.status).toBe(4)
    expect(again).toEqual(first)
    expect(other!.out).not.toBe(first!.out)
    const idle = file('idle.cjs', `require('net').createServer().listen(5); console.log('listens')`)
    expect(run('--virtual-time', '--', idle)).toEqual({ status: 0, out: 'listens\n', err: '' })
    const pair = file('pair.json', JSON.stringify({ hosts: { client: {}, server: { run: idle } }, links }))
    const once = file('once.cjs', `require('net').connect(5, 'server', () => console.log('connected'))`)
    expect(run('--network', pair, '--virtual-time', '--', once).status).toBe(0)
    const nothing = file('nothing.cjs', `console.log(require.main === module)`)
    expect(run('--virtual-time', '--', nothing)).toEqual({ status: 0, out: 'true\n', err: '' })
    const failing = file('failing.cjs', `setTimeout(() => { throw new Error('late') }, 60_000)`)
    const failed = run('--virtual-time', '--', failing)
    expect(failed.status).toBe(1)
    expect(failed.err).toMatch(/^Error: late\n/)
    expect(run('--seed', '5', '--', idle)).toEqual({
      status: 1,
      out: '',
      err: 'netglass: --seed is for --virtual-time\n',
    })
  })
})
