import { once } from 'node:events'
import { describe, it } from 'node:test'
import { NodeNetwork } from '../../dist/node/index.js'

export const listening = (server) => once(server, 'listening')

const LINKS = {
  'a clean link': { delay: 1 },
  '2 % loss and 50 ms': { delay: 50, loss: 0.02 },
}

/**
 * Tries jobs on a client and a server with a clean link between them, and then with a bad one.
 * @param jobs by name; each is given two functions, which run something on the server's and on the client's host, and
 * the network
 */
export const testOnLinks = (jobs) => {
  for (const [link, options] of Object.entries(LINKS)) {
    describe(link, () => {
      for (const [name, job] of Object.entries(jobs)) {
        it(name, { timeout: 20_000 }, async () => {
          const network = new NodeNetwork({ seed: 11 })
          network.link(network.host('client'), network.host('server'), options)
          try {
            await network.run(() =>
              job(
                (body) => network.on('server', body),
                (body) => network.on('client', body),
                network,
              ),
            )
          } finally {
            network.close()
          }
        })
      }
    })
  }
}
