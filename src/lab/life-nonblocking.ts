import { AF_INET, POLLOUT, SOCK_NONBLOCK, SOCK_STREAM } from '../socket/constants.ts'
import { acceptOne, outcome, pollNames, readToEnd, socketError } from './programs.ts'
import type { Scenario } from './scenario.ts'

/** Section C, the beginning, in its rarer forms: without waiting, and from both sides at once. */

const PORT = 80

const nonblockingConnect: Scenario = {
  name: 'nonblocking-connect',
  group: 'C',
  title: 'connect() that does not wait: EINPROGRESS, then SO_ERROR',
  description:
    'On a non-blocking socket connect() returns at once with EINPROGRESS. Asked again it says EALREADY. When the socket becomes writable it is over, well or badly: SO_ERROR tells which. After success a further connect() returns 0 once, and EISCONN from then on.',
  async run(lab) {
    const { client, server } = lab.pair()
    acceptOne(lab, server, PORT, async (sys, fd) => {
      await readToEnd(sys, fd)
    })
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    const codes: (number | string)[] = []
    let early = -1
    let ready = ''
    let error = '?'
    let took = 0
    const good = lab.spawn(client, 'client', async (sys) => {
      const fd = sys.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK)
      const start = sys.clock(true)
      const again = () => outcome(() => sys.connect(fd, { address: '10.0.0.2', port: PORT }))
      codes.push(await again(), await again())
      sys.print(`connect(): ${codes[0]}; connect() again: ${codes[1]}`)
      const poll = { fd, events: POLLOUT, revents: 0 }
      early = await sys.poll([poll], 0)
      await sys.poll([poll], -1)
      took = Math.round((sys.clock(true) - start) * 1000)
      ready = pollNames(poll.revents)
      error = socketError(sys, fd)
      sys.print(`poll() returned after ${took} ms: ${ready}; SO_ERROR is ${error || 'none'}`)
      codes.push(await again(), await again())
      sys.print(`connect(): ${codes[2]}; connect() again: ${codes[3]}`)
    })
    await lab.until('connect() has been called twice; poll() waits', () => lab.waitsIn(good) === 'poll')
    lab.check('connect() said', codes, ['EINPROGRESS', 'EALREADY'])
    lab.check('descriptors that poll() found writable at once', early, 0)
    await lab.until('The SYN+ACK makes the socket writable', () => !good.isAlive)
    lab.check('poll() said, and SO_ERROR', [ready, error], ['POLLOUT', ''])
    lab.check('after one round trip, milliseconds', took, 20)
    lab.check('connect() said after that', codes.slice(2), [0, 'EISCONN'])

    const errors: string[] = []
    const bad = lab.spawn(client, 'unlucky', async (sys) => {
      const fd = sys.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK)
      errors.push(String(await outcome(() => sys.connect(fd, { address: '10.0.0.2', port: PORT + 1 }))))
      const poll = { fd, events: POLLOUT, revents: 0 }
      await sys.poll([poll], -1)
      ready = pollNames(poll.revents)
      errors.push(socketError(sys, fd), socketError(sys, fd))
      sys.print(`poll() returned ${ready}; SO_ERROR is ${errors[1]}, and after that ${errors[2] || 'none'}`)
    })
    await lab.until('Where nobody listens the socket becomes writable too', () => !bad.isAlive)
    lab.check('poll() said', ready, 'POLLOUT|POLLERR|POLLHUP')
    lab.check('connect(), SO_ERROR, and SO_ERROR once it was read', errors, ['EINPROGRESS', 'ECONNREFUSED', ''])
  },
}

const simultaneousOpen: Scenario = {
  name: 'simultaneous-open',
  group: 'C',
  title: 'Both connect at once: one connection, without a listener',
  description:
    "Each host connects from a bound port to the other's at the same moment. The SYNs cross: SYN_SENT becomes SYN_RCVD, each side answers with a SYN+ACK, and both are ESTABLISHED. It is one connection; nobody listened and nobody accepted.",
  async run(lab) {
    const { client, server } = lab.pair()
    const read: string[] = []
    const open = (host: typeof client, own: number, address: string, port: number) =>
      lab.spawn(host, `${host.name}-opens`, async (sys) => {
        const fd = sys.socket(AF_INET, SOCK_STREAM)
        sys.bind(fd, { address: '0.0.0.0', port: own })
        await sys.connect(fd, { address, port })
        sys.print(`connect() from port ${own} to ${address}:${port} returned 0`)
        await sys.send(fd, `from ${host.name}`)
        const buffer = new Uint8Array(100)
        const count = await sys.recv(fd, buffer)
        read.push(new TextDecoder().decode(buffer.subarray(0, count)))
        sys.print(`recv() returned "${read.at(-1)}"`)
        await sys.sleep(3600)
      })
    open(client, 5001, '10.0.0.2', 5002)
    open(server, 5002, '10.0.0.1', 5001)
    const states = () => [lab.state(client, 5001), lab.state(server, 5002)]
    const both = (state: string) => () => states().every((own) => own === state)
    await lab.until('Both SYNs are on their way', both('SYN_SENT'))
    await lab.until('They have crossed', both('SYN_RECV'))
    lab.check('both are in', states(), ['SYN_RECV', 'SYN_RECV'])
    await lab.until('The SYN+ACKs have arrived', both('ESTABLISHED'))
    lab.check('both are in', states(), ['ESTABLISHED', 'ESTABLISHED'])
    await lab.until('Data passes both ways', () => read.length === 2)
    lab.check('read', [...read].sort(), ['from client', 'from server'])
    lab.check(
      'connections and listeners',
      [
        lab.states(client).length,
        lab.states(server).length,
        client.sockets.tcp.listeners.size + server.sockets.tcp.listeners.size,
      ],
      [1, 1, 0],
    )
    lab.check(
      'the first messages',
      lab
        .segments(/./)
        .slice(0, 4)
        .map(({ at, text }) => `${at} ${text.split(' ')[0]}`),
      ['0 SYN', '0 SYN', '0.01 SYN+ACK', '0.01 SYN+ACK'],
    )
  },
}

export const nonblockingScenarios: readonly Scenario[] = [nonblockingConnect, simultaneousOpen]
