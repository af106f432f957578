import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { type InputOptions, rolldown } from 'rolldown'

/**
 * Puts the modules of the packet path into one, `dist/stack.js`. The files that tsc has made of them become lists of
 * what they export. V8 takes an imported binding for one that may change: at each use it loads it, asks whether it has
 * a value yet, and compares it with what it was when the code was compiled. A constant of the module itself is compiled
 * in, and so are the functions that it stands for. That takes 14 % off a connection and a round trip
 * (docs/PERFORMANCE.md, "One module").
 *
 *     node --import tsx build/stack.ts [FOLDER that tsc has written to]
 */

const ROOT = join(import.meta.dirname, '..')
const SRC = join(ROOT, 'src')
const DIST = process.argv[2] ?? join(ROOT, 'dist')
/** What every host loads. */
const LAYERS = ['core', 'wire', 'link', 'ip', 'udp', 'tcp', 'socket', 'host']
const ENTRY = 'virtual:stack'

const isModule = (name: string): boolean => name.endsWith('.ts') && !/(\.test|(^|\/)testing)\.ts$/.test(name)

const sources = LAYERS.flatMap((layer) =>
  readdirSync(join(SRC, layer), { recursive: true, encoding: 'utf8' })
    .filter(isModule)
    .map((name) => join(SRC, layer, name)),
).sort()

/** A circle of modules, say: depcruise sees none any more in what comes of this. */
const strict: InputOptions = {
  // How long a build took is nobody's fault.
  checks: { circularDependency: true, bundlerTimings: false },
  onLog(level, log) {
    if (level === 'warn') throw new Error(log.message)
  },
}

/** What each of the modules exports, types apart. */
const exportsOf = async (files: readonly string[]): Promise<Map<string, string[]>> => {
  const bundle = await rolldown({ ...strict, input: [...files] })
  const { output } = await bundle.generate({ format: 'esm', preserveModules: true, preserveModulesRoot: SRC })
  const names = new Map<string, string[]>(files.map((file) => [file, []]))
  for (const chunk of output) {
    if (chunk.type === 'chunk' && chunk.facadeModuleId !== null) names.set(chunk.facadeModuleId, chunk.exports)
  }
  return names
}

/** The name under which the one module hands out what a file exports. */
const handle = (file: string, name: string): string =>
  `${relative(SRC, file).slice(0, -'.ts'.length).replace(/\W/g, '_')}$${name}`

const names = await exportsOf(sources)

/**
 * Hands out constants in place of the bindings themselves: what a module exports V8 loads as it does what it imports.
 */
const entry = [...names].flatMap(([file, exported]) => {
  if (exported.length === 0) return []
  const local = exported.map((name) => `${name} as _${handle(file, name)}`).join(', ')
  const constants = exported.map((name) => `export const ${handle(file, name)} = _${handle(file, name)}`)
  return [`import { ${local} } from ${JSON.stringify(file)}`, ...constants]
})

const bundle = await rolldown({
  ...strict,
  input: { stack: ENTRY },
  plugins: [
    {
      name: 'entry',
      resolveId: (id) => (id === ENTRY ? id : null),
      load: (id) => (id === ENTRY ? entry.join('\n') : null),
    },
  ],
})
const [{ code, map }] = (await bundle.generate({ format: 'esm', sourcemap: true, dir: DIST })).output
// The bundler makes variables of classes, which V8 takes for ones that may change.
writeFileSync(join(DIST, 'stack.js'), code.replace(/^var ([\w$]+) = class\b/gm, 'const $1 = class'))
writeFileSync(join(DIST, 'stack.js.map'), map!.toString())

for (const [file, exported] of names) {
  const made = join(DIST, `${relative(SRC, file).slice(0, -'.ts'.length)}.js`)
  const list = exported.map((name) => `  ${handle(file, name)} as ${name},\n`).join('')
  const from = relative(dirname(made), join(DIST, 'stack.js'))
  writeFileSync(made, exported.length === 0 ? 'export {}\n' : `export {\n${list}} from '${from}'\n`)
  rmSync(`${made}.map`, { force: true })
}
