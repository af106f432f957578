// Holds the import direction of docs/ARCHITECTURE.md: a layer imports only those listed before it.
const LAYERS = [
  'core',
  'wire',
  'link',
  'ip',
  'udp',
  'tcp',
  'socket',
  'host',
  'services',
  'inspect',
  'sim',
  'lab',
  'packetdrill',
  'net',
  'web',
  'browser',
  'gateway',
  'node',
  'cli',
]

/** Tests, and what only tests use, may import anything. */
const TESTS = '\\.test\\.ts$|/testing\\.ts$'

const direction = LAYERS.slice(0, -1).map((layer, index) => ({
  name: `${layer}-imports-only-layers-above`,
  severity: 'error',
  from: { path: `^src/${layer}/`, pathNot: TESTS },
  to: { path: `^src/(${LAYERS.slice(index + 1).join('|')})/` },
}))

module.exports = {
  forbidden: [
    ...direction,
    {
      name: 'every-file-is-in-a-layer',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^src/', pathNot: `^src/(${LAYERS.join('|')})/` },
    },
    {
      name: 'node-modules-only-in-node-and-cli',
      comment: 'The stack runs in a browser: only src/node and src/cli know Node.',
      severity: 'error',
      // Node's types, which weigh nothing.
      from: { path: '^src/', pathNot: `^src/(browser|node|cli)/|^src/net/node-types\\.ts$|${TESTS}` },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'the-core-has-no-dependencies',
      severity: 'error',
      from: { path: '^src/', pathNot: `^src/(browser|node|cli)/|${TESTS}` },
      to: { dependencyTypes: ['npm', 'npm-dev', 'npm-optional', 'npm-peer', 'npm-no-pkg'] },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    parser: 'swc',
    enhancedResolveOptions: { extensions: ['.ts', '.js'] },
    doNotFollow: { path: 'node_modules' },
  },
}
