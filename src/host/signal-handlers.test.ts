import { expect, it } from 'vitest'
import { Network } from '../sim/network.ts'
import { codeOf, NOTHING, Pair } from '../sim/testing.ts'
import { AF_INET, F_SETOWN, MSG_OOB, SOCK_STREAM } from '../socket/constants.ts'
import { SIGTERM, SIGURG } from './signals.ts'

it('exit in a handler ends the process that has the handler, not the one that has sent the signal', async () => {
  const p = new Pair()
  const found = await p.alone(async (sys) => {
    const pid = sys.fork(async (child) => {
      child.sigaction(SIGTERM, { sa_handler: () => child.exit(3), sa_flags: 0 })
      await child.usleep(5_000_000)
    })
    await sys.usleep(1000)
    const sent = sys.kill(pid, SIGTERM)
    const { status } = await sys.waitpid(pid)
    return [sent, status, sys.now]
  })
  expect(found).toEqual([0, 3, 1000])
  expect(p.close()).toEqual(NOTHING)
})

it.each(['exit', 'an exception', 'close'])(
  '%s in a handler of SIGURG, under the segment that brings it',
  async (what) => {
    const failures: string[] = []
    const ends: unknown[] = []
    const network = new Network({ onFailure: (process, error) => failures.push(`${process.name}: ${error}`) })
    const a = network.host('a')
    const b = network.host('b')
    network.link(a, b, { delay: 1 })
    const serve = async (sys: Parameters<Parameters<typeof b.spawn>[1]>[0], port: number): Promise<number> => {
      const listener = sys.socket(AF_INET, SOCK_STREAM)
      sys.bind(listener, { address: '0.0.0.0', port })
      sys.listen(listener, 1)
      return sys.accept(listener)
    }
    const urgent = b.spawn('urgent', async (sys) => {
      sys.sigaction(SIGURG, {
        sa_handler: () => {
          if (what === 'exit') sys.exit(7)
          if (what === 'close') void sys.close(fd)
          else throw new Error('a mistake')
        },
        sa_flags: 0,
      })
      const fd = await serve(sys, 1)
      sys.fcntl(fd, F_SETOWN, sys.getpid())
      // The handler interrupts it.
      expect(await codeOf(() => sys.usleep(100_000))).toBe('EINTR')
      return 0
    })
    const other = b.spawn('other', async (sys) => sys.recv(await serve(sys, 2), new Uint8Array(10)))
    const client = a.spawn('client', async (sys) => {
      await sys.usleep(1000)
      const [one, two] = [sys.socket(AF_INET, SOCK_STREAM), sys.socket(AF_INET, SOCK_STREAM)]
      await sys.connect(one, { address: '10.0.0.2', port: 1 })
      await sys.connect(two, { address: '10.0.0.2', port: 2 })
      await sys.send(one, 'abc', 3, MSG_OOB)
      await sys.usleep(10_000)
      ends.push(await codeOf(() => sys.recv(one, new Uint8Array(1))))
      await sys.send(two, 'after')
      return 0
    })
    await network.run(1000)
    expect([urgent.status, other.status, client.status]).toEqual([what === 'exit' ? 7 : what === 'close' ? 0 : 1, 5, 0])
    expect(ends).toEqual([0])
    expect(failures).toEqual(what === 'an exception' ? ['urgent: Error: a mistake'] : [])
    network.close()
    expect([network.world.frames.inUse, network.world.loop.timers.size]).toEqual([0, 0])
  },
)
