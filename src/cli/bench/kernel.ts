import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Failure } from '../failure.ts'
import { KERNEL_SOURCE } from './kernel-source.ts'

const run = promisify(execFile)

/** The kernel's side of the measurements: a program in C, and two network namespaces with a link between them. */
export class KernelSide {
  /** Why there is nothing to compare with; null when there is. */
  readonly without: string | null
  /** Why there is no link to compare with; null when there is one. */
  readonly withoutLink: string | null
  private readonly folder: string
  private readonly program: string
  private readonly spaces: readonly [string, string]

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'netglass-measure-'))
    this.program = join(this.folder, 'measure')
    const id = process.pid
    this.spaces = [`ngm${id}a`, `ngm${id}b`]
    this.without = compile(this.program)
    this.withoutLink = this.without ?? makeLink(this.spaces)
  }

  /** Gbit/s from one process to another over loopback, or over the link. */
  async stream(buffer: number, bytes: number, acrossLink: boolean): Promise<number> {
    const way = acrossLink ? [SERVER, ...this.spaces] : ['127.0.0.1']
    return Number(await this.output('stream', buffer, bytes, ...way))
  }

  /** Gbit/s through a pipe. */
  async pipe(buffer: number, bytes: number): Promise<number> {
    return Number(await this.output('pipe', buffer, bytes))
  }

  /** GB/s, into a ring and out of it. */
  async copy(size: number, times: number): Promise<number> {
    return Number(await this.output('copy', size, times))
  }

  /** What the tester measures of a design: JSON. */
  async servers(design: string, clients: number, requests: number, size: number): Promise<string> {
    return this.output('servers', design, clients, requests, size)
  }

  /** Answers a second that a server gives to clients of namespace `space`. */
  async load(space: string, address: string, port: number, connections: number, seconds: number): Promise<number> {
    const args = ['load', address, port, connections, seconds, MESSAGE]
    const inside = ['netns', 'exec', space, this.program, ...args.map(String)]
    return Number((await run('ip', inside, { timeout: 120_000 })).stdout)
  }

  close(): void {
    if (this.withoutLink === null) for (const name of this.spaces) spawnSync('ip', ['netns', 'del', name])
    rmSync(this.folder, { recursive: true })
  }

  private async output(...args: (string | number)[]): Promise<string> {
    try {
      return (await run(this.program, args.map(String), { maxBuffer: 2 ** 26, timeout: 120_000 })).stdout
    } catch (error) {
      throw new Failure(`the kernel's ${args[0]} has failed: ${(error as Error).message.trim()}`)
    }
  }
}

const SERVER = '10.88.0.2'
/** Bytes of a message of `load`. */
const MESSAGE = 64

/** @returns why it could not be compiled, or null */
const compile = (program: string): string | null => {
  const args = ['-O2', '-pthread', '-x', 'c', '-o', program, '-']
  const { status, error, stderr } = spawnSync('cc', args, { input: KERNEL_SOURCE, encoding: 'utf8' })
  if (error !== undefined) return 'there is no C compiler (cc) here'
  return status === 0 ? null : `cc cannot compile the kernel's side: ${stderr.split('\n')[0]}`
}

/** Two namespaces with a veth pair of MTU 1500 between them. @returns why there are none, or null */
const makeLink = ([a, b]: readonly [string, string]): string | null => {
  const commands = [
    `netns add ${a}`,
    `netns add ${b}`,
    `-n ${a} link add eth0 type veth peer name eth0 netns ${b}`,
    `-n ${a} address add 10.88.0.1/24 dev eth0`,
    `-n ${b} address add ${SERVER}/24 dev eth0`,
    `-n ${a} link set eth0 up`,
    `-n ${b} link set eth0 up`,
  ]
  for (const command of commands) {
    const { status, stderr } = spawnSync('ip', command.split(' '), { encoding: 'utf8' })
    if (status === 0) continue
    for (const name of [a, b]) spawnSync('ip', ['netns', 'del', name])
    return `no network namespaces: ${(stderr ?? '').split('\n')[0] || 'there is no ip(8)'}`
  }
  return null
}
