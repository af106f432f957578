import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ms, VirtualClock } from '../core/clock.ts'
import { Loop, Task } from '../core/loop.ts'
import { Timer } from '../core/timer.ts'
import { clockOrigin, RealClock, RealTimeDriver } from './realtime.ts'

class Job extends Task {
  runs = 0
  private readonly work: (job: Job) => void

  constructor(work: (job: Job) => void = () => {}) {
    super()
    this.work = work
  }

  override run(): void {
    this.runs++
    this.work(this)
  }
}

/** Keeps this thread busy. */
const burn = (milliseconds: number): void => {
  const end = performance.now() + milliseconds
  while (performance.now() < end);
}

const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))

describe('RealClock', () => {
  test('counts microseconds from when it was made, and knows when that was', async () => {
    const before = Date.now()
    const a = performance.now()
    const clock = new RealClock()
    const from = clock.now()
    burn(5)
    const to = clock.now()
    const b = performance.now()
    expect(clock.epoch / 1000).toBeGreaterThanOrEqual(before)
    expect(clock.epoch / 1000).toBeLessThanOrEqual(Date.now())
    expect(from).toBeGreaterThanOrEqual(0)
    // What `performance` rounds.
    expect(to - from).toBeGreaterThanOrEqual(4999)
    expect(to).toBeLessThanOrEqual((b - a) * 1000 + 1)
  })

  test('agrees with another one of the same origin on the time of day', () => {
    const origin = clockOrigin()
    const one = new RealClock(origin)
    const until = performance.now() + 3
    while (performance.now() < until);
    const other = new RealClock(origin)
    expect(other.epoch - one.epoch).toBeGreaterThan(2900)
    const before = one.epoch + one.now()
    const time = other.epoch + other.now()
    expect(time).toBeGreaterThan(before - 100)
    expect(time).toBeLessThan(one.epoch + one.now() + 100)
  })

  test('never goes back', () => {
    const clock = new RealClock()
    let last = clock.now()
    for (let i = 0; i < 100_000; i++) {
      const now = clock.now()
      if (now < last) throw new Error(`${now} after ${last}`)
      last = now
    }
  })
})

describe('time to the millisecond', () => {
  let loop: Loop
  let driver: RealTimeDriver
  const fired: [string, number][] = []
  const timer = (name: string): Timer => new Timer({ onTimer: () => fired.push([name, loop.now]) }, 0)

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'hrtime', 'Date'] })
    loop = new Loop(new RealClock())
    driver = new RealTimeDriver(loop)
    fired.length = 0
  })

  afterEach(() => {
    driver.close()
    expect(vi.getTimerCount()).toBe(0)
    vi.useRealTimers()
  })

  test('timers fire at their time, a fraction of a millisecond late at most', async () => {
    loop.timers.schedule(timer('b'), ms(250))
    loop.timers.schedule(timer('a'), ms(10.25))
    loop.timers.schedule(timer('c'), ms(3000))
    await vi.advanceTimersByTimeAsync(5000)
    expect(fired.map(([name]) => name)).toEqual(['a', 'b', 'c'])
    expect(fired[0]![1]).toBe(ms(11))
    expect(fired[1]![1]).toBe(ms(250))
    expect(fired[2]![1]).toBe(ms(3000))
  })

  test('a sleeper wakes for a timer that is set to an earlier time', async () => {
    loop.timers.schedule(timer('late'), ms(1000))
    await vi.advanceTimersByTimeAsync(100)
    loop.timers.schedule(timer('early'), ms(150))
    await vi.advanceTimersByTimeAsync(2000)
    expect(fired).toEqual([
      ['early', ms(150)],
      ['late', ms(1000)],
    ])
  })

  test('a timer that is moved on does not fire early', async () => {
    const moved = timer('moved')
    loop.timers.schedule(moved, ms(50))
    for (let at = 40; at < 400; at += 40) {
      await vi.advanceTimersByTimeAsync(40)
      loop.timers.schedule(moved, ms(at + 50))
    }
    await vi.advanceTimersByTimeAsync(1000)
    expect(fired).toEqual([['moved', ms(410)]])
  })

  test('a timer months away is waited for', async () => {
    const months = ms(100 * 86_400_000)
    loop.timers.schedule(timer('far'), months)
    await vi.advanceTimersByTimeAsync(101 * 86_400_000)
    expect(fired).toEqual([['far', months]])
  }, 60_000)

  test('a timer that a task sets is armed', async () => {
    loop.post(new Job(() => loop.timers.schedule(timer('set'), ms(30))))
    await vi.advanceTimersByTimeAsync(100)
    expect(fired).toEqual([['set', ms(30)]])
  })

  test('after close nothing fires', async () => {
    loop.timers.schedule(timer('never'), ms(10))
    await vi.advanceTimersByTimeAsync(1)
    driver.close()
    driver.close()
    driver.ref()
    loop.post(new Job(() => fired.push(['never', 0])))
    await vi.advanceTimersByTimeAsync(1000)
    expect(fired).toEqual([])
  })
})

describe('work', () => {
  const loops: RealTimeDriver[] = []
  const drive = (loop: Loop): RealTimeDriver => {
    const driver = new RealTimeDriver(loop)
    loops.push(driver)
    return driver
  }

  afterEach(() => {
    for (const driver of loops.splice(0)) driver.close()
  })

  test('is done in the microtask after the one that brought it', async () => {
    const loop = new Loop(new RealClock())
    drive(loop)
    await sleep(1)
    const order: string[] = []
    setImmediate(() => order.push('immediate'))
    loop.post(new Job(() => order.push('task')))
    order.push('posted')
    await Promise.resolve()
    expect(order).toEqual(['posted', 'task'])
    await new Promise(setImmediate)
    expect(order).toEqual(['posted', 'task', 'immediate'])
  })

  test('was there before the driver', async () => {
    const loop = new Loop(new RealClock())
    const job = new Job()
    loop.post(job)
    drive(loop)
    await sleep(1)
    expect(job.runs).toBe(1)
  })

  test('without end leaves Node its turn', async () => {
    const loop = new Loop(new RealClock())
    drive(loop)
    let stop = false
    const job = new Job((self) => {
      if (!stop) loop.post(self)
    })
    loop.post(job)
    // Were Node not given its turn, this would not end.
    for (let i = 0; i < 10 || job.runs < 1000; i++) await sleep(1)
    stop = true
  })

  test('that promises bring without end leaves Node its turn', async () => {
    const loop = new Loop(new RealClock())
    drive(loop)
    let stop = false
    const job: Job = new Job(() => {
      if (!stop) void Promise.resolve().then(() => loop.post(job))
    })
    loop.post(job)
    for (let i = 0; i < 10 || job.runs < 100; i++) await sleep(1)
    stop = true
  })

  test('in long pieces leaves Node its turn after each few', async () => {
    const loop = new Loop(new RealClock())
    drive(loop)
    let stop = false
    const job: Job = new Job(() => {
      burn(1)
      if (!stop) void Promise.resolve().then(() => loop.post(job))
    })
    loop.post(job)
    let immediates = 0
    while (job.runs < 60) {
      await new Promise(setImmediate)
      immediates++
    }
    expect(immediates).toBeGreaterThan(15)
    stop = true
  })

  /** Runs `body` where what is handed to `queueMicrotask` and `setImmediate` is kept. */
  const collecting = async (
    body: (thrown: (() => void)[], immediates: (() => void)[]) => Promise<void> | void,
  ): Promise<void> => {
    const thrown: (() => void)[] = []
    const immediates: (() => void)[] = []
    vi.stubGlobal('queueMicrotask', (callback: () => void) => thrown.push(callback))
    vi.stubGlobal('setImmediate', (callback: () => void) => immediates.push(callback))
    try {
      await body(thrown, immediates)
    } finally {
      vi.unstubAllGlobals()
    }
  }

  const failing = (): Job =>
    new Job(() => {
      throw new Error('a fault')
    })

  test('goes on after a task that fails; the failure is an exception that nobody has caught', () =>
    collecting(async (thrown, immediates) => {
      const loop = new Loop(new VirtualClock())
      drive(loop)
      await Promise.resolve()
      const job = new Job()
      loop.post(failing())
      loop.post(job)
      await Promise.resolve()
      expect(thrown.shift()).toThrow('a fault')
      expect(job.runs).toBe(0)
      immediates.shift()!()
      expect(job.runs).toBe(1)
      loop.post(job)
      await Promise.resolve()
      expect(job.runs).toBe(2)
    }))

  test('what comes up in a call is done before the call returns, without the caller seeing a failure of it', () =>
    collecting((thrown, immediates) => {
      const loop = new Loop(new VirtualClock())
      drive(loop)
      const job = new Job()
      loop.hold()
      loop.post(job)
      expect(job.runs).toBe(0)
      loop.release()
      expect(job.runs).toBe(1)
      loop.hold()
      loop.post(failing())
      loop.post(job)
      loop.release()
      expect(thrown.shift()).toThrow('a fault')
      expect(job.runs).toBe(1)
      immediates.shift()!()
      expect(job.runs).toBe(2)
    }))

  test('calls in a row leave Node its turn', () =>
    collecting((_, immediates) => {
      const loop = new Loop(new VirtualClock())
      drive(loop)
      const job = new Job()
      const call = (): void => {
        loop.hold()
        loop.post(job)
        loop.release()
      }
      for (let calls = 0; calls < 1000; calls++) call()
      const before = job.runs
      expect(before).toBeLessThan(100)
      expect(immediates).toHaveLength(1)
      immediates.shift()!()
      expect(job.runs).toBe(before + 1)
      call()
      expect(job.runs).toBe(before + 2)
    }))

  test('of two worlds goes on side by side', async () => {
    const clock = new RealClock()
    const jobs = [0, 1].map(() => {
      const loop = new Loop(clock)
      drive(loop)
      const job: Job = new Job((self) => {
        if (self.runs < 10_000) loop.post(self)
      })
      loop.post(job)
      return job
    })
    while (jobs.some(({ runs }) => runs < 10_000)) await sleep(1)
    expect(jobs.map((job) => job.runs)).toEqual([10_000, 10_000])
  })
})

describe('keeping the process alive', () => {
  /** Timers that do. */
  const holders = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

  test('only when asked', async () => {
    const loop = new Loop(new RealClock())
    const driver = new RealTimeDriver(loop)
    await sleep(1)
    // Only microtasks until the end: another's timer could run out in a turn of Node's.
    const before = holders()
    loop.timers.schedule(new Timer({ onTimer: () => {} }, 0), ms(100_000))
    for (let i = 0; i < 10; i++) await null
    expect(holders()).toBe(before)
    driver.ref().ref()
    expect(holders()).toBe(before + 1)
    driver.unref()
    expect(holders()).toBe(before)
    driver.unref().ref()
    driver.close()
    expect(holders()).toBe(before)
  })
})
