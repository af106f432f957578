/**
 * The two machines of src/inspect/testing.ts as network namespaces of the kernel, with a helper in each that makes the
 * calls.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { ADDRESSES, bare, MACS, type Machine, NOBODY, type Pair, SETTINGS } from '../../src/inspect/testing.ts'

const ipRoute = (...args: string[]): void => {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] })
}

/** A network namespace with a helper in it. */
export class KernelMachine implements Machine {
  readonly namespace: string
  private readonly helper: ChildProcess
  private readonly answers: AsyncIterator<string>
  private readonly reader: Interface

  constructor(namespace: string) {
    this.namespace = namespace
    const script = join(import.meta.dirname, 'inspect.py')
    this.helper = spawn('ip', ['netns', 'exec', namespace, 'python3', script], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.reader = createInterface({ input: this.helper.stdout! })
    this.answers = this.reader[Symbol.asyncIterator]()
  }

  get pid(): number {
    return this.helper.pid!
  }

  async call(name: string, ...args: unknown[]): Promise<unknown> {
    this.helper.stdin!.write(`${JSON.stringify([name, ...args])}\n`)
    const { value, done } = await this.answers.next()
    if (done === true) throw new Error('the helper has ended')
    const answer = JSON.parse(value) as { error?: string } | number | null
    if (typeof answer === 'object' && answer?.error !== undefined) throw new Error(`${name}: ${answer.error}`)
    return answer
  }

  /** What a command writes to its standard output, which is no terminal. */
  run(command: string): string {
    return this.runAll([command]).get(command)!
  }

  /**
   * What commands write to their standard output, or to that for errors if `errors` is set, by the commands; all in one
   * go, so that the machine stays as it is. Names of hosts are looked up in /etc/hosts alone.
   */
  runAll(commands: readonly string[], errors = false): Map<string, string> {
    const redirection = errors ? '2>&1 >/dev/null' : '2>/dev/null'
    const script = [
      'printf "passwd: files\\nhosts: files\\nservices: files\\n" > /run/nsswitch.$$',
      'mount --bind /run/nsswitch.$$ /etc/nsswitch.conf',
      'rm /run/nsswitch.$$',
      ...commands.map((command) => `${command} ${redirection}; printf '\\001'`),
    ]
    const { stdout } = spawnSync('ip', ['netns', 'exec', this.namespace, 'sh', '-c', script.join('\n')], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C' },
    })
    const texts = stdout.split('\u0001')
    return new Map(commands.map((command, i) => [command, texts[i]!]))
  }

  close(): void {
    this.helper.kill('SIGKILL')
    this.reader.close()
  }
}

/** The pair in the kernel. Names of namespaces hold the process id: nothing else uses them. */
export class KernelPair implements Pair {
  readonly a: KernelMachine
  readonly b: KernelMachine
  private readonly names = { a: `ngi${process.pid}a`, b: `ngi${process.pid}b` }

  constructor() {
    const { a, b } = this.names
    for (const name of [a, b]) ipRoute('netns', 'add', name)
    ipRoute('link', 'add', 'eth0', 'netns', a, 'address', MACS.a, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', b)
    ipRoute('-n', b, 'link', 'set', 'eth0', 'address', MACS.b)
    for (const side of ['a', 'b'] as const) {
      const name = this.names[side]
      const other = side === 'a' ? 'b' : 'a'
      const settings = SETTINGS.map(([key, value]) => `${key}=${value}`)
      execFileSync('ip', ['netns', 'exec', name, 'sysctl', '-q', '-w', ...settings], { stdio: 'inherit' })
      ipRoute('-n', name, 'link', 'set', 'lo', 'up')
      const [v4, v6] = ADDRESSES[side]
      ipRoute('-n', name, 'addr', 'add', v4, 'brd', '+', 'dev', 'eth0')
      ipRoute('-n', name, 'link', 'set', 'eth0', 'up')
      ipRoute('-n', name, 'addr', 'add', v6, 'dev', 'eth0')
      for (const address of ADDRESSES[other]) {
        const entry = [bare(address), 'lladdr', MACS[other], 'dev', 'eth0', 'nud', 'permanent']
        ipRoute('-n', name, 'neigh', 'replace', ...entry)
      }
    }
    ipRoute('-n', a, 'route', 'add', 'default', 'via', '10.9.0.2')
    this.a = new KernelMachine(a)
    this.b = new KernelMachine(b)
  }

  /** Link-local addresses are there when duplicate address detection is over, a second or two after the link. */
  async start(): Promise<void> {
    while (this.a.run('ip addr').includes('tentative') || this.b.run('ip addr').includes('tentative'))
      await this.settle()
  }

  async settle(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 30))
  }

  async cut(): Promise<void> {
    for (const address of ADDRESSES.b) {
      ipRoute(
        '-n',
        this.names.a,
        'neigh',
        'replace',
        bare(address),
        'lladdr',
        NOBODY,
        'dev',
        'eth0',
        'nud',
        'permanent',
      )
    }
  }

  close(): void {
    this.a.close()
    this.b.close()
    for (const name of Object.values(this.names)) spawnSync('ip', ['netns', 'del', name])
  }
}
