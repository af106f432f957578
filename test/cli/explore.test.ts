import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { COMMAND } from '../support/command.ts'

/** `netglass explore`, and `explore` in a program, with workers. */

const root = join(import.meta.dirname, '../..')
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'netglass-explore-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const node = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  return { status, stdout, stderr }
}

const write = (name: string, text: string): string => {
  const file = join(folder, name)
  writeFileSync(file, text)
  return file
}

/** Fails for seeds that 7 divides. */
const SEVENS = `(network) => {
  network.host('a').spawn('count', (sys) => sys.print('seed', network.seed))
  return network.run(5).then(() => {
    if (network.seed % 7 === 0) throw new Error('seven')
  })
}`

it('tries seeds in workers and shows the shortest run that fails', () => {
  const file = write('sevens.mjs', `export default ${SEVENS}`)
  const { status, stdout } = node(COMMAND, 'explore', file, '--seeds', '40', '--workers', '2', '--directory', folder)
  expect(stdout.split('\n')).toEqual([
    '5 of 40 seeds fail. The shortest is seed 7, at 5 ms: seven',
    `  run it again: netglass explore ${file} --seed 7; capture: ${join(folder, 'seed-7.pcapng')}`,
    '       0.000 ms  a: count: seed 7',
    '',
  ])
  expect(status).toBe(1)
  expect(existsSync(join(folder, 'seed-7.pcapng'))).toBe(true)
})

it('says how many seeds hold', () => {
  const file = write('sevens.mjs', `export default ${SEVENS}`)
  const { status, stdout } = node(COMMAND, 'explore', file, '--first', '8', '--seeds', '6')
  expect(stdout).toMatch(/^6 seeds hold, in [0-9.]+ s\n$/)
  expect(status).toBe(0)
})

it('gives up on a seed that does not end, and goes on with the others', () => {
  const file = write('hangs.mjs', 'export default ({ seed }) => { for (;;) if (seed !== 12) return }')
  const args = ['explore', file, '--seeds', '40', '--timeout', '6', '--workers', '2']
  const { status, stdout } = node(COMMAND, ...args)
  expect(stdout).toBe('1 of 40 seeds fail. Seed 12: did not end within 6 s\n')
  expect(status).toBe(1)
})

it('runs in a program that calls explore more than once', () => {
  const file = write(
    'twice.mjs',
    `import { explore } from ${JSON.stringify(join(root, 'dist/node/explore.js'))}
    const module = import.meta.url
    const first = await explore({ seeds: 30, module, workers: 2 }, () => {})
    console.log('first', first.seeds)
    await explore({ seeds: 30, module, workers: 2 }, ${SEVENS}).catch((error) => {
      console.log(error.name, error.seed, error.failures.map(({ seed }) => seed).join())
    })`,
  )
  expect(node(file).stdout).toBe('first 30\nExploreError 7 7,14,21,28\n')
})

it.each([
  [['nonexistent.mjs'], 'nonexistent.mjs: there is no such file'],
  [['FILE', '--seeds', '0'], '--seeds 0: give a whole number from 1 on'],
  [['FILE', '--seed', 'x'], '--seed x: give a whole number from 0 on'],
])('refuses %j in one line', (args, message) => {
  const file = write('holds.mjs', 'export default () => {}')
  const { status, stdout, stderr } = node(COMMAND, 'explore', ...args.map((arg) => (arg === 'FILE' ? file : arg)))
  expect([status, stdout]).toEqual([1, ''])
  expect(stderr.split('\n')).toHaveLength(2)
  expect(stderr).toContain(`netglass: ${message}`)
})

it('wants a function', () => {
  const file = write('nothing.mjs', 'export const a = 1')
  expect(node(COMMAND, 'explore', file).stderr).toContain('has no default export that is a function')
})

it('finds the payment that is made twice in 500 seeds, and the same again from its seed', () => {
  const file = join(root, 'examples/payment.mjs')
  const explore = (...args: string[]) => {
    const { status, stdout, stderr } = node(COMMAND, 'explore', file, ...args, '--directory', folder)
    expect(stderr).toBe('')
    expect(status).toBe(1)
    return stdout.split('\n')
  }
  const [summary, again, ...story] = explore('--seeds', '500')
  const [, count, seed, order] =
    /^(\d+) of 500 seeds fail\. The shortest is seed (\d+), at [\d.]+ ms: order (\d) is paid twice$/.exec(summary!) ??
    []
  expect(Number(count)).toBeGreaterThan(10)
  expect(Number(count)).toBeLessThan(100)
  expect(again).toBe(
    `  run it again: netglass explore ${file} --seed ${seed}; capture: ${join(folder, `seed-${seed}.pcapng`)}`,
  )
  const told = story.flatMap((line) => / ms {2}(\w+: node: .*order .*)$/.exec(line)?.[1] ?? [])
  const mine = told.filter((line) => line.includes(`order ${order}`)).map((line) => line.replace(/ has failed.*/, ''))
  expect(mine.filter((line) => line === `bank: node: pays order ${order}`)).toHaveLength(2)
  expect(mine).toContain(`shop: node: attempt 1 at order ${order}`)
  expect(explore('--seed', seed!).slice(2)).toEqual(story)
})

it('holds where the bank knows what a payment is for', () => {
  const file = write('mended.mjs', `export { mended as default } from '${join(root, 'examples/payment.mjs')}'`)
  expect(node(COMMAND, 'explore', file, '--seeds', '200').stdout).toMatch(/^200 seeds hold/)
})
