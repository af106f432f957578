import { it } from 'vitest'
import { Network } from '../sim/network.ts'
import { AF_INET, SOCK_STREAM } from '../socket/constants.ts'
import { ip } from './ip.ts'
import { netstat } from './netstat.ts'
import { snapshot } from './snapshot.ts'
import { ss } from './ss.ts'

it('shows', async () => {
  const network = new Network({ seed: 7 })
  const a = network.host('a')
  const b = network.host('b')
  network.link(a, b, { delay: 10 })
  b.spawn('server', async (sys) => {
    const l = sys.socket(AF_INET, SOCK_STREAM)
    sys.bind(l, { address: '0.0.0.0', port: 80 })
    sys.listen(l, 5)
    const c = await sys.accept(l)
    await sys.send(c, 'x'.repeat(1000))
    await sys.sleep(1e9)
  })
  a.spawn('client', async (sys) => {
    const s = sys.socket(AF_INET, SOCK_STREAM)
    await sys.connect(s, { address: '10.0.0.2', port: 80 })
    const t = sys.socket(AF_INET, SOCK_STREAM)
    await sys.connect(t, { address: '10.0.0.2', port: 80 })
    await sys.sleep(1e9)
  })
  await network.run(1000)
  for (const h of [a, b]) {
    const s = snapshot(h)
    for (const c of ['-an', '-antpo', '-s', '-rn', '-i', '-ie', '-g', '-6rn'])
      console.log(`$ netstat ${c}\n${netstat(s, c.split(' '))}`)
    for (const c of ['-tan', '-tinemp', '-s', '-ltn', '-an']) console.log(`$ ss ${c}\n${ss(s, c.split(' '))}`)
    for (const c of [
      'addr',
      '-s -s link',
      '-br addr',
      '-br link',
      'route',
      'route show table all',
      'neigh',
      '-s neigh',
      '-6 addr',
      '-o addr',
    ])
      console.log(`$ ip ${c}\n${ip(s, c.split(' '))}`)
  }
  network.close()
})
