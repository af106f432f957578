import { resolve } from 'node:path'
import { build } from 'esbuild'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** The modules in a browser: bundled by esbuild, in Debian's Chromium. */

let browser: Browser
let page: Page
let size = 0

beforeAll(async () => {
  const { outputFiles } = await build({
    entryPoints: [resolve(import.meta.dirname, 'browser/page.mjs')],
    bundle: true,
    write: false,
    minify: true,
    platform: 'browser',
    format: 'iife',
    // As docs/BROWSER.md says.
    alias: {
      'node:net': 'netglass/net',
      'node:dgram': 'netglass/dgram',
      'node:dns': 'netglass/dns',
      'node:dns/promises': 'netglass/dns/promises',
      'node:events': 'events',
    },
  })
  size = outputFiles[0]!.contents.length
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
  page = await browser.newPage()
  await page.goto('about:blank')
  await page.addScriptTag({ content: outputFiles[0]!.text })
})

afterAll(() => browser?.close())

type PageTests = Record<string, (...args: unknown[]) => Promise<unknown>>

const run = (name: string, ...given: unknown[]): Promise<unknown> =>
  page.evaluate(
    ([test, args]) => {
      const { netglassTests } = globalThis as unknown as { netglassTests: PageTests }
      return netglassTests[test as string]!(...(args as unknown[]))
    },
    [name, given] as const,
  )

describe('netglass/net in Chromium', () => {
  it('serves a page from one host to another', async () => {
    expect(await run('http')).toEqual({
      found: { address: '10.0.0.2', family: 4 },
      answer: 'you asked for /hello, ::ffff:10.0.0.1',
      log: ['lookup', 'connect', 'ready', 'end', 'finish', 'close'],
    })
  })

  it('says why there is no connection', async () => {
    expect(await run('refused')).toEqual({ code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 10.0.0.2:81' })
  })

  it('carries datagrams', async () => {
    expect(await run('datagrams')).toEqual({ text: 'ping', address: '10.0.0.2', size: 4 })
  })

  it('carries much, and lets nobody wait for timers', async () => {
    const { received, ms } = (await run('bulk', 32)) as { received: number; ms: number }
    expect(received).toBe(32 << 20)
    console.log(`32 MB over loopback in Chromium: ${ms.toFixed(0)} ms; bundle of ${(size / 1000).toFixed(0)} kB`)
    expect(ms).toBeLessThan(5000)
  })

  it('fetches and serves', async () => {
    expect(await run('web')).toEqual([
      { method: 'POST', body: 'from a page' },
      5_000_000,
      ['TypeError', 'ECONNREFUSED'],
      '{"method":"GET","body":""}',
    ])
  })

  it('waits an hour in no time', async () => {
    expect(await run('virtual')).toBe(3_600_004)
  })
})
