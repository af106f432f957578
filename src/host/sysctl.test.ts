import { expect, it } from 'vitest'
import { Network } from '../sim/network.ts'
import { AF_INET, SOCK_STREAM, SOL_TCP, TCP_CONGESTION } from '../socket/constants.ts'

it('tcp_congestion_control is what new sockets begin with', async () => {
  const network = new Network()
  const host = network.host('alice')
  const seen: unknown[] = []
  host.spawn('look', (sys) => {
    const look = (): unknown => sys.getsockopt(sys.socket(AF_INET, SOCK_STREAM), SOL_TCP, TCP_CONGESTION)
    seen.push(look())
    host.sysctl.set('net.ipv4.tcp_congestion_control', 'reno')
    seen.push(look())
  })
  await network.run(1)
  expect(seen).toEqual(['cubic', 'reno'])
  expect(() => host.sysctl.set('net.ipv4.tcp_congestion_control', 'vegas')).toThrow(
    'net.ipv4.tcp_congestion_control is one of cubic, reno, bbr, not "vegas"',
  )
  expect(host.sysctl.get('net.ipv4.tcp_congestion_control')).toBe('reno')
  network.close()
})
