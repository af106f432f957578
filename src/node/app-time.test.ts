import { AsyncLocalStorage } from 'node:async_hooks'
import { exec } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import net from 'node:net'
import { clearInterval as stopTimer, setTimeout as timerByName } from 'node:timers'
import { scheduler, setTimeout as sleep, setInterval as ticks } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { NodeNetwork } from './network.ts'

/** Timers and clocks of programs, in virtual time. */

let network: NodeNetwork
afterEach(() => network.close())

/** Runs `body` in a network by itself. */
const run = <T>(body: () => Promise<T>): Promise<T> => {
  network = new NodeNetwork({ epoch: Date.UTC(2130, 0, 1) })
  return network.run(body)
}

describe('timers in virtual time', () => {
  it('fire in the order of their times, and of their being set', async () => {
    const seen = await run(async () => {
      const order: string[] = []
      const note = (what: string) => () => void order.push(`${what} ${performance.now()}`)
      setTimeout(note('b'), 20)
      setTimeout(note('a'), 10)
      timerByName(note('c'), 20)
      setTimeout(note('fraction'), 1.9)
      setTimeout(note('none'))
      for (let i = 9; i > 0; i--) setTimeout(note(`${i}`), 30 + i)
      const cleared = setTimeout(note('cleared'), 15)
      setTimeout(() => clearTimeout(cleared), 12)
      const byNumber = setTimeout(note('cleared by number'), 15)
      clearTimeout(Number(byNumber))
      await sleep(100)
      return order
    })
    expect(seen).toEqual([
      ...['fraction 1', 'none 1', 'a 10', 'b 20', 'c 20'],
      ...['1 31', '2 32', '3 33', '4 34', '5 35', '6 36', '7 37', '8 38', '9 39'],
    ])
  })

  it('repeat until they are stopped, from inside too, and begin anew', async () => {
    const seen = await run(async () => {
      const times: number[] = []
      const interval = setInterval(() => {
        times.push(performance.now())
        if (times.length === 3) stopTimer(interval)
      }, 10)
      const late = setTimeout(() => times.push(-performance.now()), 50)
      setTimeout(() => late.refresh(), 40)
      await sleep(200)
      return [times, late.hasRef(), late.unref().hasRef()]
    })
    expect(seen).toEqual([[10, 20, 30, -90], true, false])
  })

  it('call back in the asynchronous context in which they were set', async () => {
    const storage = new AsyncLocalStorage<string>()
    const seen = await run(
      () =>
        new Promise((resolve) => {
          storage.run('inside', () => setTimeout((word) => resolve([storage.getStore(), word]), 5, 'argument'))
        }),
    )
    expect(seen).toEqual(['inside', 'argument'])
  })

  it('are promises, with signals', async () => {
    const seen = await run(async () => {
      const { signal } = Object.assign(new AbortController(), {})
      const stopped = sleep(1000, 'x', { signal: AbortSignal.timeout(30) }).catch(({ name, code, cause }) => [
        name,
        code,
        cause.name,
      ])
      const values: number[] = []
      for await (const value of ticks(7, 'tick', { signal })) {
        if (value === 'tick' && values.push(performance.now()) === 3) break
      }
      await scheduler.wait(9)
      return [values, performance.now(), await stopped, performance.now(), await promisify(setTimeout)(1, 'value')]
    })
    expect(seen).toEqual([[7, 14, 21], 30, ['AbortError', 'ABORT_ERR', 'TimeoutError'], 30, 'value'])
  })

  it('set clocks', async () => {
    const seen = await run(async () => {
      const before = process.hrtime()
      const big = process.hrtime.bigint()
      await sleep(1500)
      const date = new Date()
      return [
        ...[date.toISOString(), date instanceof Date, Date.now() - Date.UTC(2130, 0, 1), new Date(5).getTime()],
        ...[process.hrtime(before), process.hrtime.bigint() - big, /2130/.test(Date())],
      ]
    })
    expect(seen).toEqual(['2130-01-01T00:00:01.500Z', true, 1500, 5, [1, 500_000_000], 1_500_000_000n, true])
    expect(new Date().getFullYear()).toBeLessThan(2130)
  })

  it('that were set in a network before can be begun anew in the next, and in real time', async () => {
    const { timer, fired } = await run(async () => {
      const fired: string[] = []
      return { timer: setTimeout(() => fired.push(String(performance.now())), 400), fired }
    })
    network.close()
    await run(async () => {
      timer.refresh()
      await sleep(500)
    })
    expect(fired).toEqual(['400'])
    timer.refresh()
    timer.close()
    const stale = setTimeout(() => {}, 1)
    expect(typeof stale.ref).toBe('function')
    clearTimeout(stale)
  })

  it('say what is wrong as Node does', async () => {
    await expect(run(async () => setTimeout('text' as never, 5))).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
    })
  })

  it('are of one network at a time', async () => {
    const first = run(() => sleep(5))
    const second = new NodeNetwork()
    await expect(second.run(() => sleep(5))).rejects.toThrow('another network runs in virtual time in this thread')
    second.close()
    await first
  })
})

describe('a program that never rests', () => {
  it('uses the time for it, a microsecond for each turn, and timers fire', async () => {
    const seen = await run(async () => {
      network.link(network.host('a'), network.host('b'))
      let rounds = 0
      const ticks: [time: number, rounds: number][] = []
      const server = network.on('b', () => net.createServer((socket) => socket.pipe(socket)).listen(7))
      const socket = network.on('a', () => net.connect(7, '10.0.0.2'))
      socket.on('data', () => {
        rounds++
        if (ticks.length < 3) socket.write('x')
      })
      socket.write('x')
      const interval = setInterval(() => ticks.push([Math.round(performance.now()), rounds]), 10)
      await sleep(35)
      clearInterval(interval)
      socket.destroy()
      server.close()
      return ticks
    })
    // There and back takes two turns; the first is that in which the connection is made.
    expect(seen).toEqual([
      [10, 4999],
      [20, 9999],
      [30, 14_999],
    ])
  })

  it('is stopped at its limit when it does nothing but ask for the next turn', async () => {
    network = new NodeNetwork({ limit: 50 })
    const again = (): void => {
      setTimeout(again, 1)
    }
    const endless = network.run(async () => {
      again()
      await new Promise(() => {})
    })
    await expect(endless).rejects.toThrow('the program has not ended after 0.05 s')
  })
})

describe('one seed', () => {
  /** Two clients and a server on a bad link, with timers, files and a child process between. */
  const story = async (seed: number): Promise<string[]> => {
    network = new NodeNetwork({ seed })
    const seen: string[] = []
    const note = (what: string): void => void seen.push(`${network.now} ${what}`)
    const hub = network.router('hub')
    for (const name of ['server', 'a', 'b']) network.link(network.host(name), hub, { delay: 5, jitter: 4, loss: 0.1 })
    network.computeRoutes()
    await network.run(async () => {
      const server = network.on('server', () =>
        http
          .createServer(async (request, response) => {
            note(`asked for ${request.url}`)
            const text = await readFile(import.meta.filename, 'utf8')
            setTimeout(() => response.end(text.slice(0, 5000)), 10)
          })
          .listen(80),
      )
      const client = async (name: string): Promise<void> => {
        for (let i = 0; i < 5; i++) {
          const response = await fetch(`http://server/${name}${i}`, { signal: AbortSignal.timeout(60_000) })
          note(`${name}${i}: ${(await response.text()).length}`)
          if (i === 2) note((await promisify(exec)('echo child')).stdout)
        }
      }
      const interval = setInterval(() => note('tick'), 100)
      await Promise.all(['a', 'b'].map((name) => network.on(name, () => client(name))))
      const raw = network.on('b', () => net.connect(81, 'server'))
      await new Promise<void>((resolve) => raw.once('error', ({ message }) => resolve(note(message))))
      clearInterval(interval)
      server.close()
    })
    network.close()
    return seen
  }

  it('gives the same story twenty times, and another seed another', { timeout: 60_000 }, async () => {
    const first = await story(5)
    expect(first.filter((line) => line.includes('asked'))).toHaveLength(10)
    expect(first.at(-1)).toContain('connect ECONNREFUSED 10.0.0.1:81')
    for (let i = 0; i < 19; i++) expect(await story(5)).toEqual(first)
    expect(await story(6)).not.toEqual(first)
  })
})
