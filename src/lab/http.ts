import { MemoryFiles } from '../services/files.ts'
import { httpServer } from '../services/http.ts'
import { httpGet } from '../services/http-client.ts'
import { connectTo } from './programs.ts'
import type { Scenario } from './scenario.ts'

const PAGE = `<!doctype html>\n<title>netglass</title>\n<p>${'Every byte of this page went through two TCP stacks. '.repeat(80)}</p>\n`

/** What `netglass lab` shows when it is not told what: a whole exchange, from the first SYN to the last ACK. */
const http: Scenario = {
  name: 'http',
  group: 'K',
  title: 'An HTTP exchange over two hosts and a cable',
  description:
    'A client fetches a page from a server. Both stacks run in this process; the cable takes 10 ms each way and carries 2 Mbit/s.',
  async run(lab) {
    const { client, server } = lab.pair({ rate: 2e6 })
    lab.watchQueues(client, server, 80)
    const files = new MemoryFiles({ '/index.html': PAGE })
    lab.spawn(
      server,
      'httpd',
      httpServer(files, 80, (entry) => lab.note(`httpd: "${entry.request}" ${entry.status} ${entry.bytes} bytes`)),
    )
    await lab.quietly(() => server.sockets.tcp.listeners.size === 1)
    await lab.step('httpd listens on port 80')
    let port = 0
    let length = 0
    let status = 0
    const fetched = lab.spawn(client, 'fetch', async (sys) => {
      const fd = await connectTo(sys, '10.0.0.2', 80)
      port = sys.getsockname(fd).port
      sys.print(`connected from port ${port}`)
      const response = await httpGet(sys, fd, 'server', '/index.html', (bytes) => {
        length += bytes.length
      })
      status = response.status
      sys.print(`HTTP ${response.status}, ${response.length} bytes`)
      await sys.close(fd)
    })
    await lab.until('The handshake is over', () => lab.state(server, 80) === 'ESTABLISHED')
    await lab.until('The page is on its way', () => lab.queues(server, client, 80).delivered > 1000)
    await lab.until('The client has it all', () => status !== 0)
    lab.check('status', status, 200)
    lab.check('bytes of the page', length, PAGE.length)
    await lab.quietly(() => !fetched.isAlive)
    await lab.until(
      'Both have closed; the server was first, so that TIME_WAIT is on its side',
      () => lab.state(client, port) === '',
    )
    lab.check('the server keeps', lab.states(server), ['TIME_WAIT'])
  },
}

export const httpScenarios: readonly Scenario[] = [http]
