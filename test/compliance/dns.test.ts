import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { implementations } from './implementations.ts'
import { describe as describeError, thrownBy } from './log.ts'

const rejected = async (promise: Promise<unknown>): Promise<string> => promise.then(() => 'nothing', describeError)

describe.each(implementations)('dns: $name', ({ run }) => {
  it('gives back what is an address already', async () => {
    const found = await run(async ({ dns }) => [
      await dns.promises.lookup('127.0.0.1'),
      await dns.promises.lookup('::1', { all: true }),
      await promisify(dns.lookup)('127.0.0.1', { family: 4 }),
      await new Promise((resolve) => dns.lookup('::1', (error, address, family) => resolve([error, address, family]))),
    ])
    expect(found).toEqual([
      { address: '127.0.0.1', family: 4 },
      [{ address: '::1', family: 6 }],
      { address: '127.0.0.1', family: 4 },
      [null, '::1', 6],
    ])
  })

  it('finds the names of this host, and none that nobody has', async () => {
    const found = await run(async ({ dns }) => [
      await dns.promises.lookup('localhost', 4),
      await dns.promises.lookup('localhost', { family: 4, all: true }),
      await dns.promises.lookup('LOCALHOST', { family: 4, order: 'ipv4first' }),
      (await dns.promises.lookupService('127.0.0.1', 80)).hostname,
    ])
    expect(found).toEqual([
      { address: '127.0.0.1', family: 4 },
      [{ address: '127.0.0.1', family: 4 }],
      { address: '127.0.0.1', family: 4 },
      'localhost',
    ])
  })

  it('checks its arguments', async () => {
    const thrown = await run(async ({ dns }) => [
      thrownBy(() => dns.lookup(1 as never, () => {})),
      thrownBy(() => dns.lookup('a', 5 as never, () => {})),
      thrownBy(() => dns.lookup('a', { family: 5 }, () => {})),
      thrownBy(() => dns.lookup('a', { hints: 1 }, () => {})),
      thrownBy(() => dns.lookup('a', { all: 1 as never }, () => {})),
      thrownBy(() => dns.lookup('a', {}, 7 as never)),
      thrownBy(() => dns.lookup('a', 'b' as never, () => {})),
      thrownBy(() => dns.promises.lookup('a', { order: 'x' as never })),
      thrownBy(() => dns.lookupService('x', 1, () => {})),
      thrownBy(() => dns.lookupService('127.0.0.1', -1, () => {})),
      thrownBy(() => dns.lookupService('127.0.0.1', Symbol('port') as never, () => {})).slice(0, 16),
      thrownBy(() => (dns.lookupService as (...args: unknown[]) => void)('127.0.0.1', 1)),
      thrownBy(() => dns.resolve('a', 'X' as never, () => {})),
      thrownBy(() => dns.resolve4(5 as never, () => {})),
      thrownBy(() => dns.setServers(['nowhere'])),
      thrownBy(() => dns.setServers('1.2.3.4' as never)),
      thrownBy(() => dns.setDefaultResultOrder('x' as never)),
      thrownBy(() => new dns.Resolver({ tries: 0 })),
      thrownBy(() => new dns.Resolver().setLocalAddress('x')),
    ])
    expect(thrown).toEqual([
      'name=TypeError message=The "hostname" argument must be of type string. Received type number (1) code=ERR_INVALID_ARG_TYPE',
      "name=TypeError message=The argument 'family' must be one of: 0, 4, 6. Received 5 code=ERR_INVALID_ARG_VALUE",
      "name=TypeError message=The property 'options.family' must be one of: 0, 4, 6. Received 5 code=ERR_INVALID_ARG_VALUE",
      "name=TypeError message=The argument 'hints' is invalid. Received 1 code=ERR_INVALID_ARG_VALUE",
      'name=TypeError message=The "options.all" property must be of type boolean. Received type number (1) code=ERR_INVALID_ARG_TYPE',
      'name=TypeError message=The "callback" argument must be of type function. Received type number (7) code=ERR_INVALID_ARG_TYPE',
      'name=TypeError message=The "options" argument must be of type object or integer. Received type string (\'b\') code=ERR_INVALID_ARG_TYPE',
      "name=TypeError message=The property 'options.order' must be one of: 'verbatim', 'ipv4first', 'ipv6first'. Received 'x' code=ERR_INVALID_ARG_VALUE",
      "name=TypeError message=The argument 'address' is invalid. Received 'x' code=ERR_INVALID_ARG_VALUE",
      'name=RangeError message=Port should be >= 0 and < 65536. Received type number (-1). code=ERR_SOCKET_BAD_PORT',
      'name=RangeError ',
      'name=TypeError message=The "address", "port", and "callback" arguments must be specified code=ERR_MISSING_ARGS',
      "name=TypeError message=The argument 'rrtype' is invalid. Received 'X' code=ERR_INVALID_ARG_VALUE",
      'name=TypeError message=The "name" argument must be of type string. Received type number (5) code=ERR_INVALID_ARG_TYPE',
      'name=TypeError message=Invalid IP address: nowhere code=ERR_INVALID_IP_ADDRESS',
      'name=TypeError message=The "servers" argument must be an instance of Array. Received type string (\'1.2.3.4\') code=ERR_INVALID_ARG_TYPE',
      "name=TypeError message=The argument 'dnsOrder' must be one of: 'verbatim', 'ipv4first', 'ipv6first'. Received 'x' code=ERR_INVALID_ARG_VALUE",
      'name=RangeError message=The value of "options.tries" is out of range. It must be >= 1 && <= 2147483647. Received 0 code=ERR_OUT_OF_RANGE',
      'name=TypeError message=Invalid IP address. code=ERR_INVALID_ARG_VALUE',
    ])
  })

  it('takes a list of servers with holes, and no other while it asks', async () => {
    const found = await run(async ({ dns, dgram }) => {
      const silent = dgram.createSocket('udp4').bind(0, '127.0.0.1')
      await new Promise<void>((resolve) => silent.once('listening', resolve))
      const resolver = new dns.Resolver()
      const atFirst = resolver.getServers().length > 0
      const servers = ['127.0.0.1']
      servers[2] = '0.0.0.0'
      resolver.setServers(servers)
      const kept = resolver.getServers()
      resolver.setServers([`127.0.0.1:${silent.address().port}`])
      const asking = new Promise((resolve) => resolver.resolve4('a.example', resolve))
      const thrown = thrownBy(() => resolver.setServers(['127.0.0.1'])).replace(/ \[.*\]/, '')
      resolver.cancel()
      const answer = describeError(await asking)
      silent.close()
      return [atFirst, kept, thrown, answer]
    })
    expect(found).toEqual([
      true,
      ['127.0.0.1', '0.0.0.0'],
      'name=Error message=c-ares failed to set servers: "There are pending queries." code=ERR_DNS_SET_SERVERS_FAILED',
      'name=Error message=queryA ECANCELLED a.example code=ECANCELLED syscall=queryA',
    ])
  })

  it('asks nobody for a name of Tor', async () => {
    const failure = await run(({ dns }) => rejected(new dns.promises.Resolver().resolve4('a.onion')))
    expect(failure).toBe('name=Error message=queryA ENOTFOUND a.onion code=ENOTFOUND syscall=queryA')
  })

  it('keeps servers, and gives up what is cancelled', async () => {
    const result = await run(async ({ dns, dgram }) => {
      // Nobody answers here.
      const silent = dgram.createSocket('udp4').bind(0, '127.0.0.1')
      await new Promise<void>((resolve) => silent.once('listening', resolve))
      const resolver = new dns.promises.Resolver({ timeout: 5000, tries: 1 })
      resolver.setServers(['4.4.4.4', '[2001:4860:4860::8888]:1053', `127.0.0.1:${silent.address().port}`])
      const servers = resolver.getServers().map((text) => text.replace(/\d{5}$/, 'PORT'))
      resolver.setServers([`127.0.0.1:${silent.address().port}`])
      const answer = rejected(resolver.resolve4('a.example'))
      await new Promise<void>((resolve) => silent.once('message', () => resolve()))
      resolver.cancel()
      const cancelled = await answer
      silent.close()
      return { servers, cancelled }
    })
    expect(result).toEqual({
      servers: ['4.4.4.4', '[2001:4860:4860::8888]:1053', '127.0.0.1:PORT'],
      cancelled: 'name=Error message=queryA ECANCELLED a.example code=ECANCELLED syscall=queryA',
    })
  })
})
