/**
 * `netglass run` on a TAP device: unmodified Node programs that talk to the kernel's programs, in network namespaces.
 * Needs root, /dev/net/tun, iproute2, curl and netcat-openbsd.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { copyCommand, Namespace } from '../support/netns.ts'

const DEVICE = ['--tap', 'ng0', '--ip', '10.77.0.2/24', '--host-ip', '10.77.0.1/24']

let directory = ''
let command = ''
let namespace: Namespace

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'netglass-run-'))
  command = copyCommand(directory)
})
afterAll(() => rmSync(directory, { recursive: true }))
beforeEach(() => {
  namespace = new Namespace(`ng-run-${process.pid}`)
})
afterEach(() => namespace.remove())

const program = (text: string): string => {
  const path = join(directory, 'program.cjs')
  writeFileSync(path, text)
  return path
}

test('curl fetches 3 MB from an HTTP server of Node, which ends when its last byte has arrived', async () => {
  const server = program(`
    const server = require('node:http').createServer((request, response) => {
      response.end(request.socket.remoteAddress + ' '.repeat(3_000_000))
      server.close()
    }).listen(80, '0.0.0.0', () => console.log('listening'))`)
  const running = namespace.start(process.execPath, command, 'run', ...DEVICE, '--', server)
  await running.printed(/listening/)
  const body = await namespace.shell("curl -s -H 'Connection: close' http://10.77.0.2/")
  expect(body.length).toBe('10.77.0.1'.length + 3_000_000)
  expect(body.trimEnd()).toBe('10.77.0.1')
  expect(await running.ended).toMatchObject({ code: 0, stderr: '' })
})

test('a client of Node sends 1 MB to netcat and ends', async () => {
  const client = program(`
    const socket = require('node:net').connect(9000, '10.77.0.1')
    socket.end(Buffer.alloc(1_000_000, 'n'))
    socket.on('close', (hadError) => console.log('closed', hadError, socket.bytesWritten))`)
  const sink = namespace.start('nc', '-l', '9000')
  sink.process.stdin?.end()
  await namespace.shell("until ss -Hltn | grep -q ':9000 '; do sleep 0.05; done")
  const running = namespace.start(process.execPath, command, 'run', ...DEVICE, '--', client)
  expect(await running.ended).toMatchObject({ code: 0, stdout: 'closed false 1000000\n', stderr: '' })
  const { stdout } = await sink.ended
  expect(stdout).toBe('n'.repeat(1_000_000))
})
