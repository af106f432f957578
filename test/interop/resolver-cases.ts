/** Questions of getaddrinfo(3) that are put to glibc's resolver and to ours, with what name servers say to each. */

/** What a name server says: addresses, a name (an alias), or how it fails. */
export type ServerSays = readonly string[] | 'SERVFAIL' | 'REFUSED' | 'NOTIMP' | 'FORMERR' | 'silent' | 'lame' | 'cut'

export interface ResolverCase {
  readonly name: string
  /** Beside the line that names the server. */
  readonly resolvConf?: string
  readonly hosts?: string
  /** By `name TYPE`; a name that has nothing is not there. Behind `10.0.0.3 ` what only the second server says. */
  readonly zone?: Readonly<Record<string, ServerSays>>
  /** node, service, family, kind, protocol, flags */
  readonly ask: readonly [
    node: string | null,
    service?: string | null,
    family?: number,
    kind?: number,
    protocol?: number,
    flags?: number,
  ]
}

const SEARCH = 'search a.test b.test\n'
const INET6 = 10

const zoned = (
  name: string,
  zone: Readonly<Record<string, ServerSays>>,
  node = 'www',
  resolvConf = SEARCH,
): ResolverCase => ({
  name,
  resolvConf,
  zone,
  ask: [node, null, 0, 1],
})

const ONE = ['10.0.0.5']
const SIX = ['2001:db8::5']
const QUICK = 'options timeout:1 attempts:1\n'
const TWO = 'nameserver 10.0.0.3\noptions timeout:1 attempts:1\n'

const SEARCHES: readonly ResolverCase[] = [
  zoned('families in different domains', { 'www.a.test A': ONE, 'www.b.test AAAA': SIX }),
  zoned('a name without addresses in the first', { 'www.a.test TXT': ONE, 'www.b.test A': ONE }),
  zoned('the first domain fails', { 'www.a.test A': 'SERVFAIL', 'www.a.test AAAA': 'SERVFAIL', 'www.b.test A': ONE }),
  zoned('the first domain is refused', {
    'www.a.test A': 'REFUSED',
    'www.a.test AAAA': 'REFUSED',
    'www.b.test A': ONE,
  }),
  zoned(
    'the first domain is silent',
    { 'www.a.test A': 'silent', 'www.a.test AAAA': 'silent', 'www.b.test A': ONE },
    'www',
    SEARCH + QUICK,
  ),
  zoned(
    'silent, and then as it is',
    { 'www.a.test A': 'silent', 'www.a.test AAAA': 'silent', 'www A': ONE },
    'www',
    SEARCH + QUICK,
  ),
  zoned('with a dot, as it is first', { 'www.x A': ONE, 'www.x.a.test A': ['10.0.0.6'] }, 'www.x'),
  zoned('with a dot, not there, and without addresses behind a domain', { 'www.x.a.test TXT': ONE }, 'www.x'),
  zoned(
    'with a dot, fails as it is',
    { 'www.x A': 'SERVFAIL', 'www.x AAAA': 'SERVFAIL', 'www.x.b.test A': ONE },
    'www.x',
  ),
  zoned('without addresses behind one domain', { 'www.b.test TXT': ONE }),
  zoned('ends with a dot', { 'www A': ONE, 'www.a.test A': ['10.0.0.6'] }, 'www.'),
  zoned('no name without a dot goes to the root', { 'www A': ONE }, 'www', `${SEARCH}options no-tld-query\n`),
  zoned('no name without a dot goes to the root, and no domains', { 'www A': ONE }, 'www', 'options no-tld-query\n'),
  zoned('seven domains', { 'www.g A': ONE }, 'www', 'search a b c d e f g\n'),
  zoned('domain: the first word alone', { 'www.b A': ONE, 'www A': ['10.0.0.6'] }, 'www', 'domain a b\n'),
  zoned(
    'the last of search and domain counts',
    { 'www.b A': ONE, 'www.a A': ['10.0.0.6'] },
    'www',
    'search a\ndomain b\n',
  ),
  zoned('ndots', { 'w.x.a.test A': ONE, 'w.x A': ['10.0.0.6'] }, 'w.x', `${SEARCH}options ndots:2\n`),
  zoned('the root among the domains', { 'www A': ONE, 'www.a.test A': ['10.0.0.6'] }, 'www', 'search . a.test\n'),
  zoned('a domain that begins with a dot', { 'www.a.test A': ONE }, 'www', 'search .a.test\n'),
  zoned('spaces in front of a keyword', { 'www.a.test A': ONE, 'www A': ['10.0.0.6'] }, 'www', '  search a.test\n'),
  zoned('a remark behind domains', { 'www.a.test A': ONE }, 'www', 'search a.test # b.test\n'),
]

const FAILURES: readonly ResolverCase[] = (
  [
    ['no address and failure', ['x'], 'SERVFAIL'],
    ['failure and no address', 'SERVFAIL', ['x']],
    ['an address and failure', ONE, 'SERVFAIL'],
    ['failure and an address', 'SERVFAIL', SIX],
    ['both fail', 'SERVFAIL', 'SERVFAIL'],
    ['both are refused', 'REFUSED', 'REFUSED'],
    ['both are not implemented', 'NOTIMP', 'NOTIMP'],
    ['an address and silence', ONE, 'silent'],
    ['silence and an address', 'silent', SIX],
    ['silence', 'silent', 'silent'],
    ['cut short within a record', 'cut', 'cut'],
  ] as const
).map(([name, a, aaaa]) =>
  zoned(
    name,
    {
      'www.a.test TXT': ONE,
      ...(a[0] === 'x' ? {} : { 'www.a.test A': a }),
      ...(aaaa[0] === 'x' ? {} : { 'www.a.test AAAA': aaaa }),
    },
    'www.a.test',
    QUICK,
  ),
)

const MANY = Array.from({ length: 45 }, (_, i) => `10.9.9.${i}`)

const ANSWERS: readonly ResolverCase[] = [
  zoned('more than 512 bytes over UDP all the same', { 'many.test A': ['over UDP', ...MANY] }, 'many.test', ''),
  zoned('more than 512 bytes', { 'many.test A': MANY }, 'many.test', ''),
  zoned(
    'an alias of an alias',
    { 'www.test A': ['alias:b.test'], 'b.test A': ['alias:c.test'], 'c.test A': ONE },
    'www.test',
    '',
  ),
  zoned('an alias of itself', { 'www.test A': ['alias:www.test'] }, 'www.test', QUICK),
  zoned('an alias of nothing', { 'www.test A': ['alias:b.test'] }, 'www.test', QUICK),
  zoned(
    'a lame server, and another',
    { 'www.test A': 'lame', 'www.test AAAA': 'lame', '10.0.0.3 www.test A': ONE },
    'www.test',
    TWO,
  ),
  zoned(
    'a server that refuses, and another',
    { 'www.test A': 'REFUSED', 'www.test AAAA': 'REFUSED', '10.0.0.3 www.test A': ONE },
    'www.test',
    TWO,
  ),
  zoned(
    'a silent server, and another',
    { 'www.test A': 'silent', 'www.test AAAA': 'silent', '10.0.0.3 www.test A': ONE },
    'www.test',
    TWO,
  ),
  zoned('attempts: 0', { 'www.test A': ONE }, 'www.test', 'options attempts:0\n'),
  zoned('timeout: 0', { 'www.test A': ONE }, 'www.test', 'options timeout:0\n'),
  zoned('over TCP at once', { 'www.test A': ONE }, 'www.test', 'options use-vc\n'),
  zoned('one after the other', { 'www.test A': ONE, 'www.test AAAA': SIX }, 'www.test', 'options single-request\n'),
]

const NAMES: readonly ResolverCase[] = [
  '',
  '.',
  'a..b',
  '-x.test',
  'x_y.test',
  'x y.test',
  'b\u00fccher.test',
  `${'x'.repeat(63)}.test`,
  `${'x'.repeat(64)}.test`,
  `${'abcdefg.'.repeat(31)}abcde`,
  `${'abcdefg.'.repeat(31)}abcdefg`,
  '*',
].map((node) => ({
  name: `the name ${JSON.stringify(node.slice(0, 20))} of ${node.length}`,
  zone: {
    '-x.test A': ONE,
    'x_y.test A': ONE,
    'x y.test A': ONE,
    'b\\195\\188cher.test A': ONE,
    [`${'x'.repeat(63)}.test A`]: ONE,
    [`${'abcdefg.'.repeat(31)}abcde A`]: ONE,
  },
  ask: [node, '80', 2, 1],
}))

const LITERALS: readonly ResolverCase[] = [
  ...[
    '1.2.3',
    '1',
    '0x7f000001',
    '1.2.3.4.5',
    '256.1.1.1',
    '08.1.1.1',
    '010.1.1.1',
    '1.2.3.4 ',
    ' 1.2.3.4',
    '1.2.3.4x',
  ],
  ...[
    '4294967295',
    '4294967296',
    '1.2.65536',
    '::1',
    '::ffff:1.2.3.4',
    '[::1]',
    '::1%lo',
    '::1%1',
    'fe80::1%1',
    'fe80::1%nope',
  ],
  ...[
    'fe80::1%',
    'fe80::1%4294967295',
    'fe80::1%4294967296',
    '2001:db8::1%1',
    '2001:db8::1%lo',
    'ff02::1%lo',
    '::1.2.3.4',
  ],
  ...['1:2:3:4:5:6:7:8:9', '12345::', '::g', '1::2::3'],
].flatMap((node) =>
  [0, 2, INET6].flatMap((family) =>
    [0, 4, 8].map((flags) => ({
      name: `the address ${JSON.stringify(node)}, family ${family}, flags ${flags}`,
      ask: [node, '7', family, 1, 0, flags] as const,
    })),
  ),
)

const SERVICES: readonly ResolverCase[] = [
  ...[
    'http',
    'domain',
    'ftp',
    '80',
    '0',
    '65535',
    '65536',
    '99999999999',
    '-1',
    '+1',
    '0x50',
    '80 ',
    ' 80',
    '',
    '*',
    'no-such',
    'HTTP',
    'tftp',
  ],
].flatMap((service) =>
  (
    [
      [0, 0, 0],
      [1, 0, 0],
      [2, 0, 0],
      [3, 0, 0],
      [1, 17, 0],
      [0, 17, 0],
      [0, 6, 0],
      [0, 1, 0],
      [3, 99, 0],
      [5, 0, 0],
      [0, 0, 0x400],
      [99, 0, 0],
    ] as const
  ).map(([kind, protocol, flags]) => ({
    name: `the service ${JSON.stringify(service)}, kind ${kind}, protocol ${protocol}, flags ${flags}`,
    ask: ['10.0.0.9', service, 2, kind, protocol, flags] as const,
  })),
)

const HOSTS = [
  '127.0.0.1 localhost',
  '::1 localhost six-only',
  '10.0.0.21',
  '  10.0.0.22 leads',
  '10.0.0.23 a#b',
  'nonsense wrong',
  '10.0.0.24 twice',
  '10.0.0.25 other twice',
  '2001:db8::25 twice',
  '010.0.0.27 octal',
  '10.28 short',
  '10.0.0.29 carriage\r',
  'fe80::30%lo zone',
  '10.0.0.31 UPPER upper2',
  '10.0.0.32\ttab\ttab2',
  '10.0.0.33 dotted.',
  '10.0.0.34 with.dot',
].join('\n')

const TABLE: readonly ResolverCase[] = [
  ...[
    'localhost',
    'six-only',
    'leads',
    'a',
    'b',
    'wrong',
    'twice',

    'octal',
    'short',
    'carriage',
    'zone',
    'upper',
    'UPPER2',
  ],
  ...['tab2', 'dotted', 'dotted.', 'with.dot', 'with.dot.', 'tab.'],
].flatMap((node) =>
  (
    [
      [0, 0],
      [2, 2],
      [INET6, 0],
      [INET6, 8],
      [INET6, 0x18],
    ] as const
  ).map(([family, flags]) => ({
    name: `in the hosts table ${node}, family ${family}, flags ${flags}`,
    hosts: HOSTS,
    ask: [node, null, family, 1, 0, flags] as const,
  })),
)

const BOTH: Readonly<Record<string, ServerSays>> = {
  'www.a.test A': ['10.0.0.5', '10.0.0.6'],
  'www.a.test AAAA': SIX,
  'four.a.test A': ONE,
  'six.a.test AAAA': SIX,
  'alias.a.test A': ['alias:four.a.test'],
}

const FLAGS: readonly ResolverCase[] = ['www', 'four', 'six', 'alias', 'none'].flatMap((node) =>
  [0, 2, INET6].flatMap((family) =>
    [2, 4, 8, 0x10, 0x18, 0x1a].map((flags) => ({
      name: `flags ${flags}, family ${family}, ${node}`,
      resolvConf: 'search a.test\n',
      zone: BOTH,
      ask: [node, null, family, 1, 0, flags] as const,
    })),
  ),
)

const OWN: readonly ResolverCase[] = [0, 2, INET6, 1, 99].flatMap((family) =>
  [0, 1, 2, 8, 9, 0x1000, 0x400].map((flags) => ({
    name: `no name, family ${family}, flags ${flags}`,
    ask: [null, '80', family, 1, 0, flags] as const,
  })),
)

export const RESOLVER_CASES: readonly ResolverCase[] = [
  ...SEARCHES,
  ...FAILURES,
  ...ANSWERS,
  ...NAMES,
  ...LITERALS,
  ...SERVICES,
  ...TABLE,
  ...FLAGS,
  ...OWN,
]
