import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

/** What the documents name exists, and where they say. */

const root = join(import.meta.dirname, '..')
const documents = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith('.md'),
)

/** What programs can import: `netglass/node`. */
const exported = Object.keys(
  (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: object }).exports,
).map((path) => path.replace('.', 'netglass'))

const find = (path: string): string | undefined =>
  [path, `src/${path}`].map((candidate) => join(root, candidate)).find((candidate) => existsSync(candidate))

/** What `dist` is made of need not be built. */
const sourceOf = (path: string): string =>
  path === 'dist/stack.js' ? 'build/stack.ts' : path.replace(/^dist\/(.*)\.js$/, 'src/$1.ts')

describe.each(documents)('%s', (document) => {
  const text = readFileSync(join(root, document), 'utf8')

  it('names files that are there', () => {
    const named = [...text.matchAll(/`((?:[\w.-]+\/)+[\w.-]*)`/g)].map(([, path]) => path!)
    const isThere = (path: string): boolean => exported.includes(path) || [sourceOf(path), `tcp/${path}`].some(find)
    expect(named.filter((path) => !isThere(path))).toEqual([])
  })

  it('names functions and classes that are where it says', () => {
    const pairs = [...text.matchAll(/`([A-Z]?\w+(?:\.\w+)?)` \(`([\w/.-]+\.ts)`/g)]
    const missing = pairs.filter(([, name, path]) => {
      const file = find(path!)
      const words = name!.split('.')
      return file === undefined || !words.every((word) => new RegExp(`\\b${word}\\b`).test(readFileSync(file, 'utf8')))
    })
    expect(missing.map(([whole]) => whole)).toEqual([])
    if (document === 'docs/ARCHITECTURE.md') expect(pairs.length).toBeGreaterThan(25)
  })

  it('links to files that are there', () => {
    const links = [...text.matchAll(/\]\(([^)#]+)/g)]
      .map(([, target]) => target!)
      .filter((target) => !target.includes(':'))
    const folder = join(root, document, '..')
    expect(links.filter((target) => !existsSync(join(folder, target)))).toEqual([])
  })
})
