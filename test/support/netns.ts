/**
 * Network namespaces for tests against the kernel, the programs that run in them, and the compiled command. Needs root
 * and iproute2.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')

/** How a program ended: its exit code, or -1 when a signal ended it; and what it printed. */
export interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A program that was started. */
export class Running {
  readonly process: ChildProcess
  readonly ended: Promise<Result>
  stdout = ''
  stderr = ''
  private hasEnded = false
  private readonly lookers = new Set<() => void>()

  constructor(command: readonly string[], environment: NodeJS.ProcessEnv) {
    const [file = '', ...args] = command
    this.process = spawn(file, args, { env: { ...process.env, ...environment }, stdio: ['pipe', 'pipe', 'pipe'] })
    this.process.stdout?.on('data', (chunk) => this.heard('stdout', String(chunk)))
    this.process.stderr?.on('data', (chunk) => this.heard('stderr', String(chunk)))
    // A program may end before it has read everything.
    this.process.stdin?.on('error', () => {})
    this.ended = new Promise((resolve, reject) => {
      this.process.once('error', reject)
      this.process.once('close', (code) => {
        this.hasEnded = true
        resolve({ code: code ?? -1, stdout: this.stdout, stderr: this.stderr })
        for (const look of this.lookers) look()
      })
    })
  }

  get pid(): number {
    return this.process.pid ?? -1
  }

  get isOver(): boolean {
    return this.hasEnded
  }

  /** Waits until it has printed what `pattern` finds. @throws Error when it ends before, or takes longer than `ms` */
  async printed(pattern: RegExp, ms = 60_000): Promise<RegExpExecArray> {
    const deadline = Date.now() + ms
    for (;;) {
      const match = pattern.exec(this.stdout) ?? pattern.exec(this.stderr)
      if (match !== null) return match
      if (this.hasEnded || Date.now() > deadline) {
        throw new Error(`${pattern} was not printed, but:\n${this.stdout}${this.stderr}`)
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => look(), Math.max(1, deadline - Date.now()))
        const look = (): void => {
          clearTimeout(timer)
          this.lookers.delete(look)
          resolve()
        }
        this.lookers.add(look)
      })
    }
  }

  /** Sends it a signal. @returns how it ended */
  end(signal: NodeJS.Signals = 'SIGTERM'): Promise<Result> {
    if (!this.hasEnded) this.process.kill(signal)
    return this.ended
  }

  /** Processor time that it has used, user and system, seconds. */
  cpu(): number {
    const stat = execFileSync('cat', [`/proc/${this.pid}/stat`], { encoding: 'utf8' })
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100
  }

  private heard(stream: 'stdout' | 'stderr', text: string): void {
    this[stream] += text
    for (const look of [...this.lookers]) look()
  }
}

/** A network namespace with loopback up. */
export class Namespace {
  readonly name: string
  private readonly environment: NodeJS.ProcessEnv
  private readonly running: Running[] = []

  /** @param environment variables of the programs that it runs */
  constructor(name: string, environment: NodeJS.ProcessEnv = {}) {
    this.name = name
    this.environment = environment
    execFileSync('ip', ['netns', 'add', name])
    execFileSync('ip', ['-n', name, 'link', 'set', 'lo', 'up'])
  }

  /** Starts a program in it. */
  start(...command: string[]): Running {
    const running = new Running(['ip', 'netns', 'exec', this.name, ...command], this.environment)
    this.running.push(running)
    return running
  }

  /** Runs a program in it to its end, which must be a success. @returns what it printed to standard output */
  async run(...command: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.attempt(...command)
    if (code !== 0) throw new Error(`${command.join(' ')}: exit code ${code}: ${stderr}${stdout}`)
    return stdout
  }

  /** Runs a program in it to its end, whatever that is. */
  attempt(...command: string[]): Promise<Result> {
    const running = this.start(...command)
    running.process.stdin?.end()
    return running.ended
  }

  /** Runs a line of shell in it, as `run`. */
  shell(line: string): Promise<string> {
    return this.run('bash', '-o', 'pipefail', '-c', line)
  }

  /** The names of its interfaces but loopback. */
  async links(): Promise<string[]> {
    const links = JSON.parse(await this.run('ip', '-j', 'link')) as { ifname: string }[]
    return links.map(({ ifname }) => ifname).filter((name) => name !== 'lo')
  }

  /** Ends what runs in it, and removes it. */
  async remove(): Promise<void> {
    for (const running of this.running) if (!running.isOver) await running.end('SIGKILL')
    execFileSync('ip', ['netns', 'del', this.name])
  }
}

/**
 * Copies what was built into `directory`, a package of its own that other users may read.
 * @returns the path of the command
 */
export const copyCommand = (directory: string): string => {
  mkdirSync(directory, { recursive: true })
  chmodSync(directory, 0o755)
  const dist = join(directory, 'dist')
  cpSync(join(ROOT, 'dist'), dist, { recursive: true })
  copyFileSync(join(ROOT, 'package.json'), join(directory, 'package.json'))
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
  return join(dist, 'cli/main.js')
}
