import type { Sys } from '../host/calls.ts'
import type { Process } from '../host/process.ts'
import { MemoryFiles } from '../services/files.ts'
import { httpServer } from '../services/http.ts'
import { httpGet } from '../services/http-client.ts'
import { chargenPattern, smallServer } from '../services/small.ts'
import * as clients from '../services/small-clients.ts'
import { type Login, smallDatagramServer, whoServer } from '../services/small-udp.ts'
import { SOCK_DGRAM } from '../socket/constants.ts'
import type { Lab, Pair } from './lab.ts'
import { connectTo, outcome } from './programs.ts'
import type { Scenario } from './scenario.ts'

/** Section K: the small services, each over TCP and UDP, and their clients. */

const SERVER = '10.0.0.2'
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** A pair of hosts; on the server a service over both transports. */
const serving = (lab: Lab, name: string): Pair & { stop: () => void } => {
  const pair = lab.pair()
  lab.hide(pair.client)
  lab.hide(pair.server)
  lab.show(pair.server, 'netstat -antu')
  const processes = [smallServer(name), smallDatagramServer(name)].map((program) =>
    lab.spawn(pair.server, name, program),
  )
  return { ...pair, stop: () => stopAll(processes) }
}

const stopAll = (processes: readonly Process[]): void => {
  for (const process of processes) process.exit(0)
}

/** Runs a client to its end: a step. @returns what it gives */
const ask = async <T>(lab: Lab, title: string, host: Pair['client'], body: (sys: Sys) => Promise<T>): Promise<T> => {
  let result: T | undefined
  const process = lab.spawn(host, 'client', async (sys) => {
    result = await body(sys)
  })
  await lab.until(title, () => !process.isAlive)
  return result as T
}

const echo: Scenario = {
  name: 'echo',
  group: 'K',
  title: 'Echo, port 7: what comes goes back (RFC 862)',
  description:
    'Over TCP a stream of bytes comes back, until the client has finished; over UDP each datagram comes back as it was. A datagram whose sender is such a service itself is not answered: the two would never stop.',
  async run(lab) {
    const { client, server, stop } = serving(lab, 'echo')
    const data = bytesOf('echo me '.repeat(1000))
    const tcp = await ask(lab, '8,000 bytes over TCP', client, (sys) => clients.echoClient(sys, 'tcp', SERVER, data))
    lab.check(
      'came back over TCP: bytes, and are they the same',
      [tcp.length, textOf(tcp) === textOf(data)],
      [8000, true],
    )
    const udp = await ask(lab, 'A datagram over UDP', client, (sys) =>
      clients.echoClient(sys, 'udp', SERVER, bytesOf('once')),
    )
    lab.check('came back over UDP', textOf(udp), 'once')
    await ask(lab, 'A datagram from port 7', client, async (sys) => {
      const fd = sys.socket(2, SOCK_DGRAM)
      sys.bind(fd, { address: '0.0.0.0', port: 7 })
      await sys.sendto(fd, 'ping pong', undefined, 0, { address: SERVER, port: 7 })
    })
    await lab.pass(1000, 'A second later')
    lab.check('datagrams that the server sent', server.ip.mib.udp.OutDatagrams, 1)
    stop()
  },
}

const discard: Scenario = {
  name: 'discard',
  group: 'K',
  title: 'Discard, port 9: what comes is thrown away (RFC 863)',
  description: 'The server reads everything and answers nothing, over TCP until the client has finished.',
  async run(lab) {
    const { client, server, stop } = serving(lab, 'discard')
    const data = new Uint8Array(100_000)
    const back = await ask(lab, '100,000 bytes over TCP', client, (sys) =>
      clients.discardClient(sys, 'tcp', SERVER, data),
    )
    lab.check('bytes that came back over TCP', back, 0)
    await ask(lab, '1,000 bytes over UDP', client, (sys) =>
      clients.discardClient(sys, 'udp', SERVER, data.subarray(0, 1000)),
    )
    await lab.pass(1000, 'A second later')
    lab.check(
      'datagrams received and sent by the server',
      [server.ip.mib.udp.InDatagrams, server.ip.mib.udp.OutDatagrams],
      [1, 0],
    )
    stop()
  },
}

const chargen: Scenario = {
  name: 'chargen',
  group: 'K',
  title: 'Character generator, port 19: lines without end (RFC 864)',
  description:
    'Over TCP the server sends lines of 72 characters, each beginning one further on in the 95 printing ones, until the client has had enough and closes. Over UDP each datagram is answered by one with 0 to 512 characters, as chance will have it.',
  async run(lab) {
    const { client, stop } = serving(lab, 'chargen')
    const text = await ask(lab, '10,000 characters over TCP', client, async (sys) => {
      const got = await clients.chargenClient(sys, 'tcp', SERVER, 10_000)
      sys.print(got.slice(0, 72))
      sys.print(got.slice(74, 146))
      return got
    })
    lab.check('characters', text.length, 10_000)
    lab.check('the first two lines begin and end', [text.slice(0, 4), text.slice(70, 78)], [' !"#', 'fg\r\n!"#$'])
    lab.check('after 95 lines of 74 characters it begins anew', text.slice(7030, 10_000) === text.slice(0, 2970), true)
    const one = await ask(lab, 'One datagram over UDP', client, (sys) => clients.chargenClient(sys, 'udp', SERVER, 0))
    lab.note(`${one.length} characters`)
    lab.check('at most 512 characters', one.length <= 512, true)
    lab.check('of the pattern', textOf(chargenPattern()).startsWith(one), true)
    stop()
  },
}

const daytime: Scenario = {
  name: 'daytime',
  group: 'K',
  title: 'Daytime, port 13: the date as a line of text (RFC 867)',
  description: 'The server sends the date and closes, or answers a datagram. The clock began on 1 January 2026.',
  async run(lab) {
    const { client, stop } = serving(lab, 'daytime')
    const over = (transport: clients.Transport) => (sys: Sys) => clients.daytimeClient(sys, transport, SERVER)
    const tcp = await ask(lab, 'Over TCP', client, over('tcp'))
    await lab.pass(60_000, 'A minute later')
    const udp = await ask(lab, 'Over UDP', client, over('udp'))
    lab.check(
      'over TCP, and a minute later over UDP',
      [tcp, udp],
      ['01 JAN 2026 00:00:00 UTC', '01 JAN 2026 00:01:00 UTC'],
    )
    stop()
  },
}

const time: Scenario = {
  name: 'time',
  group: 'K',
  title: 'Time, port 37: seconds since 1900 in four bytes (RFC 868)',
  description:
    'The four bytes count from 1 January 1900; they will be used up in 2036. The client turns them into Unix time.',
  async run(lab) {
    const { client, stop } = serving(lab, 'time')
    const over = (transport: clients.Transport) => async (sys: Sys) => {
      const seconds = await clients.timeClient(sys, transport, SERVER)
      sys.print(`${seconds} seconds since 1970, ${seconds + 2_208_988_800} since 1900`)
      return seconds
    }
    const tcp = await ask(lab, 'Over TCP', client, over('tcp'))
    await lab.pass(10_000, 'Ten seconds later')
    const udp = await ask(lab, 'Over UDP', client, over('udp'))
    lab.check('seconds since 1970, over TCP and ten seconds later over UDP', [tcp, udp], [1_767_225_600, 1_767_225_610])
    stop()
  },
}

const who: Scenario = {
  name: 'who',
  group: 'K',
  title: 'Who is logged in: a line for each, by UDP (RFC 866)',
  description:
    'A client asks port 11 with an empty datagram. The first answer is lost; after a second without one it asks again. Where nobody answers, it gives up after three attempts; where nobody listens, it is told at once.',
  async run(lab) {
    const { client, server, link } = lab.pair()
    lab.hide(client)
    lab.hide(server)
    const logins: Login[] = [{ user: 'ann', terminal: 'tty1', since: 1_767_225_600 }]
    const process = lab.spawn(
      server,
      'who',
      whoServer(() => logins),
    )
    const asks = async (sys: Sys): Promise<string[]> => {
      const lines = await clients.whoClient(sys, SERVER)
      for (const line of lines) sys.print(line)
      return lines
    }
    lab.check('lines', await ask(lab, 'One user', client, asks), ['ann      tty1     01 JAN 2026 00:00:00 UTC'])
    logins.push({ user: 'bob', terminal: 'pts/0', since: 1_767_225_660 })
    lab.lose(link.cable.bToA, /UDP/, 1)
    const start = lab.network.now
    const two = await ask(lab, 'Two users; the first answer is lost', client, asks)
    lab.check('lines, and milliseconds', [two.length, lab.network.now - start], [2, 1020])
    lab.lose(link.cable.bToA, /./)
    const silent = await ask(lab, 'No answer arrives', client, (sys) => outcome(() => clients.whoClient(sys, SERVER)))
    lab.check('after three attempts', silent, 'EAGAIN')
    link.cable.bToA.filter = null
    process.exit(0)
    const gone = await ask(lab, 'The server is gone', client, (sys) => outcome(() => clients.whoClient(sys, SERVER)))
    lab.check('then', gone, 'ECONNREFUSED')
  },
}

const httpFiles: Scenario = {
  name: 'http-files',
  group: 'K',
  title: 'An HTTP file server and its client: files, a directory, and what is not there',
  description:
    'The server serves three files. Five requests, each over a connection of its own: a page, a larger file, the list of a directory, a file that is not there, and a path that leads out of the directory.',
  async run(lab) {
    const { client, server } = lab.pair()
    lab.hide(client)
    lab.hide(server)
    const large = new Uint8Array(200_000).fill(65)
    const files = new MemoryFiles({ '/index.html': '<p>hello</p>', '/data/large': large, '/data/small': 'x' })
    const log: string[] = []
    const process = lab.spawn(
      server,
      'httpd',
      httpServer(files, 80, ({ request, status, bytes }) => {
        log.push(`${status} ${bytes}`)
        lab.note(`httpd: "${request}" ${status} ${bytes} bytes`)
      }),
    )
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    const get = (path: string) =>
      ask(lab, `GET ${path}`, client, async (sys) => {
        const fd = await connectTo(sys, SERVER, 80)
        const parts: string[] = []
        const { status, length } = await httpGet(sys, fd, 'server', path, (bytes) => {
          parts.push(textOf(bytes))
        })
        await sys.close(fd)
        sys.print(`${status}, ${length} bytes`)
        return { status, length, text: parts.join('') }
      })
    const page = await get('/index.html')
    lab.check('status and text', [page.status, page.text], [200, '<p>hello</p>'])
    const file = await get('/data/large')
    lab.check('status and length', [file.status, file.length], [200, 200_000])
    const list = await get('/data/')
    lab.check(
      'status, and does it name both files',
      [list.status, /large/.test(list.text) && /small/.test(list.text)],
      [200, true],
    )
    lab.check('status', (await get('/nothing')).status, 404)
    const out = await get('/../secret')
    lab.check('status of a path that leads out', out.status >= 400 && out.status < 500, true)
    lab.check('requests that the server has logged', log.length, 5)
    process.exit(0)
  },
}

export const serviceScenarios: readonly Scenario[] = [echo, discard, chargen, daytime, time, who, httpFiles]
