import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** Programs with worker threads under `netglass run`: one host, whichever thread uses it. */

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'netglass-workers-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs a program and a worker of its own, `worker.mjs`. @returns what it has printed */
const run = (main: string, worker: string): string[] => {
  const program = join(folder, 'main.mjs')
  writeFileSync(program, `import { Worker } from 'node:worker_threads'\n${IMPORTS}\n${main}`)
  writeFileSync(
    join(folder, 'worker.mjs'),
    `import { parentPort, Worker } from 'node:worker_threads'\n${IMPORTS}\n${worker}`,
  )
  const cli = join(import.meta.dirname, '../../dist/cli/main.js')
  const { stdout, stderr } = spawnSync(process.execPath, [cli, 'run', '--', program], {
    encoding: 'utf8',
    cwd: folder,
  })
  return `${stdout}${stderr}`.trim().split('\n')
}

const IMPORTS = `
  import dgram from 'node:dgram'
  import dns from 'node:dns/promises'
  import { once } from 'node:events'
  import http from 'node:http'
  import net from 'node:net'
  const listening = async (server) => (await once(server, 'listening'), server)`

describe('worker threads under netglass run', () => {
  it('have the host of the program that starts them', () => {
    const lines = run(
      `const server = await listening(http.createServer((request, response) => response.end('main')).listen(80))
       const worker = new Worker(new URL('./worker.mjs', import.meta.url))
       const [first] = await once(worker, 'message')
       console.log(first)
       console.log(await (await fetch('http://localhost:81/from-main')).text())
       const clash = net.createServer().listen(81)
       console.log((await once(clash, 'error'))[0].message)
       worker.postMessage('stop')
       console.log('exit', ...(await once(worker, 'exit')))
       const gone = net.connect(81, '127.0.0.1')
       console.log((await once(gone, 'error'))[0].code)
       process.exit()`,
      `const own = await listening(http.createServer((request, response) => response.end('worker ' + request.url)).listen(81))
       const text = await (await fetch('http://localhost/')).text()
       const { address } = await dns.lookup('localhost', 4)
       const { hostname } = await dns.lookupService('127.0.0.1', 80)
       parentPort.postMessage([text, address, hostname, JSON.stringify(own.address())].join(' '))
       parentPort.once('message', () => process.exit(5))`,
    )
    expect(lines).toEqual([
      'main 127.0.0.1 localhost {"address":"::","family":"IPv6","port":81}',
      'worker /from-main',
      'listen EADDRINUSE: address already in use :::81',
      'exit 5',
      'ECONNREFUSED',
    ])
  })

  it('carry much, and hold up who sends more than is read', () => {
    const lines = run(
      `const worker = new Worker(new URL('./worker.mjs', import.meta.url))
       await once(worker, 'message')
       const socket = net.connect(9, '127.0.0.1')
       const size = 24 << 20
       const data = Buffer.alloc(size, 7)
       let sent = false
       socket.write(data, () => { sent = true })
       await new Promise((resolve) => setTimeout(resolve, 500))
       console.log('sent before anybody reads:', sent)
       worker.postMessage('read')
       let back = 0
       socket.on('data', (chunk) => { back += chunk.length })
       socket.end()
       await once(socket, 'close')
       console.log(back === size)
       await worker.terminate()
       process.exit()`,
      `const server = await listening(net.createServer({ pauseOnConnect: true }, async (socket) => {
         await once(parentPort, 'message')
         socket.resume()
         socket.pipe(socket)
       }).listen(9))
       parentPort.postMessage('ready')`,
    )
    expect(lines).toEqual(['sent before anybody reads: false', 'true'])
  })

  it('end when their last connection is closed, not before', () => {
    const lines = run(
      `net.createServer((socket) => socket.on('end', () => socket.end('bye')).resume()).listen(9)
       const worker = new Worker(new URL('./worker.mjs', import.meta.url))
       worker.on('message', console.log)
       console.log('exit', ...(await once(worker, 'exit')))
       process.exit()`,
      `const socket = net.connect(9, '127.0.0.1')
       await once(socket, 'connect')
       for (const event of ['end', 'finish', 'close']) socket.on(event, () => parentPort.postMessage(event))
       socket.resume().end('x')
       await once(socket, 'close')`,
    )
    expect(lines).toEqual(['finish', 'end', 'close', 'exit 0'])
  })

  it('are heard to end when what listened in them does so no more, and workers of workers too', () => {
    const ends = `const end = async (worker) => {
        await once(worker, 'message')
        worker.postMessage('stop')
        const exit = await once(worker, 'exit')
        return [...exit, (await once(net.connect(81, '127.0.0.1'), 'error'))[0].code].join(' ')
      }
      const child = (level) => new Worker(new URL('./worker.mjs', import.meta.url), { workerData: level })`
    const lines = run(
      `${ends}
       for (let i = 0; i < 5; i++) console.log('outer', await end(child('inner')))
       const outer = child('outer')
       outer.on('message', (line) => console.log('inner', line))
       console.log('end', ...(await once(outer, 'exit')))
       const broken = new Worker('throw new Error("broken")', { eval: true })
       broken.on('error', (error) => console.log(error.message)).on('exit', (code) => console.log('broken', code))`,
      `import { workerData } from 'node:worker_threads'
       ${ends}
       if (workerData === 'outer') {
         for (let i = 0; i < 5; i++) parentPort.postMessage(await end(child('inner')))
         process.exit(3)
       }
       await listening(net.createServer().listen(81))
       parentPort.postMessage('ready')
       parentPort.once('message', () => process.exit(5))`,
    )
    const refused = (level: string): string[] => new Array(5).fill(`${level} 5 ECONNREFUSED`)
    expect(lines).toEqual([...refused('outer'), ...refused('inner'), 'end 3', 'broken', 'broken 1'])
  })

  it('send datagrams, meet errors, and have workers of their own', () => {
    const lines = run(
      `const worker = new Worker(new URL('./worker.mjs', import.meta.url), { workerData: 'outer' })
       const echo = dgram.createSocket('udp4').bind(7, '127.0.0.1')
       echo.on('message', (data, from) => echo.send('re: ' + data, from.port, from.address))
       for await (const [line] of (await import('node:events')).on(worker, 'message')) {
         if (line === 'end') break
         console.log(line)
       }
       process.exit()`,
      `import { workerData } from 'node:worker_threads'
       const socket = dgram.createSocket('udp4')
       socket.send(workerData, 7, '127.0.0.1')
       const [data, from] = await once(socket, 'message')
       parentPort.postMessage(data + ' from ' + from.address + ':' + from.port)
       socket.close()
       const refused = net.connect(6, '127.0.0.1')
       const [error] = await once(refused, 'error')
       parentPort.postMessage(error.message)
       if (workerData === 'outer') {
         const inner = new Worker(new URL('./worker.mjs', import.meta.url), { workerData: 'inner' })
         inner.on('message', (line) => parentPort.postMessage(line))
       } else parentPort.postMessage('end')`,
    )
    expect(lines).toEqual([
      're: outer from 127.0.0.1:7',
      'connect ECONNREFUSED 127.0.0.1:6',
      're: inner from 127.0.0.1:7',
      'connect ECONNREFUSED 127.0.0.1:6',
    ])
  })
})
