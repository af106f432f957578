import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

/**
 * Node's own tests over this stack: `npm run build && node --import tsx test/node-suite/run.ts [prefix…]`. The tests
 * come from Debian's source package, and stay in a folder outside the repository. `--kernel` runs them over the
 * kernel's stack, `--modules` with this package's modules in place of `net`, `dgram` and `dns`. `--expected FILE`
 * compares with a list of those that are known to fail, with the reason for each: it is an error when another fails,
 * when one of them passes, and when fewer run than the file says.
 */

/**
 * What is known of a run: what the names of its tests begin with, how
 * many there are at least, and why some of them fail.
 */
interface Expected {
  readonly tests: readonly string[]
  readonly atLeast: number
  readonly failures: Readonly<Record<string, string>>
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    folder: { type: 'string', default: join(tmpdir(), 'netglass-node-suite') },
    kernel: { type: 'boolean', default: false },
    modules: { type: 'boolean', default: false },
    jobs: { type: 'string', default: '2' },
    expected: { type: 'string' },
    json: { type: 'string' },
    timeout: { type: 'string', default: '60' },
  },
})
const expected = values.expected === undefined ? null : (JSON.parse(readFileSync(values.expected, 'utf8')) as Expected)
/** What the names of the tests begin with. */
const prefixes = positionals.length > 0 ? positionals : (expected?.tests ?? ['test-net-'])
/** Seconds for a test that will fail. */
const SHORT = 5
/** What `netglass run` starts. */
const main = resolve(import.meta.dirname, '../../dist/cli/run-main.js')

const modules = resolve(import.meta.dirname, 'modules.cjs')

interface Result {
  readonly name: string
  readonly passed: boolean
  readonly ms: number
  readonly output: string
}

/** Fetches Debian's source of Node, unless it is there. @returns its folder */
const fetchSource = (folder: string): string => {
  const find = (): string | undefined => {
    const name = existsSync(folder) ? readdirSync(folder).find((entry) => /^node-v[0-9.]+$/.test(entry)) : undefined
    return name === undefined ? undefined : join(folder, name)
  }
  const there = find()
  if (there !== undefined) return there
  mkdirSync(join(folder, 'lists/partial'), { recursive: true })
  const sources = join(folder, 'sources.list')
  writeFileSync(sources, 'deb-src http://deb.debian.org/debian bookworm main\n')
  const options = [
    `Dir::Etc::sourcelist=${sources}`,
    'Dir::Etc::sourceparts=/dev/null',
    `Dir::State::lists=${folder}/lists`,
  ]
  const apt = (...args: string[]): void => {
    const flags = options.flatMap((option) => ['-o', option])
    spawnSync('apt-get', [...flags, ...args], { cwd: folder, stdio: 'inherit' })
  }
  apt('update', '-qq')
  apt('source', '--download-only', '-qq', 'nodejs')
  const archive = readdirSync(folder).find((entry) => /^nodejs_.*\.orig\.tar\.[gx]z$/.test(entry))
  if (archive === undefined) throw new Error(`apt-get source nodejs brought no archive to ${folder}`)
  const parts = ['test/parallel', 'test/common', 'test/fixtures'].map((part) => `*/${part}/*`)
  spawnSync('tar', ['xf', archive, '--wildcards', ...parts], { cwd: folder, stdio: 'inherit' })
  return find() ?? folder
}

/** Node's options that a test asks for in its first lines. */
const flagsOf = (path: string): string[] =>
  /^\/\/ Flags:(.*)$/m.exec(readFileSync(path, 'utf8'))?.[1]?.trim().split(/\s+/) ?? []

const runTest = (source: string, name: string): Promise<Result> =>
  new Promise((done) => {
    const path = join(source, 'test/parallel', name)
    const hook = values.modules ? ['--disable-warning=ExperimentalWarning', '-r', modules] : []
    const words = [...hook, ...flagsOf(path), ...(values.kernel ? [] : [main]), path]
    const start = Date.now()
    const child = spawn(process.execPath, words, {
      cwd: join(source, 'test/parallel'),
      env: { ...process.env, TEST_THREAD_ID: name.replace(/\W/g, ''), NETGLASS_RUN: JSON.stringify({ name: path }) },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += String(data)))
    const timer = setTimeout(
      () => {
        output += '\n(time is up)\n'
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      },
      1000 * (expected?.failures[name] === undefined ? Number(values.timeout) : SHORT),
    )
    child.once('close', (code) => {
      clearTimeout(timer)
      done({ name, passed: code === 0, ms: Date.now() - start, output })
    })
  })

const source = fetchSource(resolve(values.folder))
const names = readdirSync(join(source, 'test/parallel')).filter(
  (name) => prefixes.some((prefix) => name.startsWith(prefix)) && /\.m?js$/.test(name),
)
const results: Result[] = []
// Those that wait for their end come first.
const isKnown = (name: string): boolean => expected?.failures[name] !== undefined
const waiting = [...names.filter(isKnown), ...names.filter((name) => !isKnown(name))]
const worker = async (): Promise<void> => {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const result = await runTest(source, name)
    results.push(result)
    if (!result.passed && !isKnown(name)) console.log(`FAIL ${name}\n${result.output.trim().slice(0, 1500)}\n`)
  }
}
await Promise.all(Array.from({ length: Number(values.jobs) }, worker))
results.sort((a, b) => (a.name < b.name ? -1 : 1))
const failed = results.filter(({ passed }) => !passed)
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(results, null, 1))
for (const { name } of failed)
  console.log(`failed: ${name}${isKnown(name) ? `, as expected: ${expected!.failures[name]}` : ''}`)
console.log(
  `${results.length - failed.length} of ${results.length} pass over ${values.kernel ? "the kernel's stack" : 'ours'}`,
)
if (expected !== null) {
  const wrong = results.flatMap(({ name, passed }) => {
    if (passed !== isKnown(name)) return []
    return [passed ? `${name} passes: take it off the list of ${values.expected}` : `${name} is to pass, and fails`]
  })
  if (results.length < expected.atLeast) wrong.push(`only ${results.length} of ${expected.atLeast} tests have run`)
  for (const line of wrong) console.log(line)
  // Those that behave as expected, for who adds up.
  const known = failed.filter(({ name }) => isKnown(name)).length
  console.log(
    `tests: ${results.length - failed.length} passed, ${failed.length - known} failed, ${known} expected to fail`,
  )
  process.exitCode = wrong.length > 0 ? 1 : 0
}
