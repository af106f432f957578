import { tableOf } from '../core/table.ts'
import type { Host } from '../host/host.ts'
import { snapshot } from '../inspect/snapshot.ts'
import type { TcpSnapshot } from '../inspect/snapshot-types.ts'
import { TcpState, tcpStateName } from '../tcp/state.ts'
import { parseIpPrefix } from '../wire/address.ts'
import type { ScriptLink } from './link.ts'
import { Unsupported } from './script.ts'
import { type Pipeline, parseShell, type ShellCommand } from './shell-words.ts'
import { bufferOf } from './values.ts'

/**
 * The shell commands of scripts, interpreted against the host under test: nothing is ever run. Settings, routes and
 * queues are set there; scripts that are included are read and interpreted as well.
 */

/** What commands work on. */
export interface ShellOptions {
  readonly host: Host
  readonly link: ScriptLink
  /** An included script by the name that the script has for it; null when it cannot be read. */
  readonly include: (name: string) => string | null
}

/** What a command has printed, and its exit status. */
interface Ended {
  readonly status: number
  readonly output: string
}

const DONE: Ended = { status: 0, output: '' }

/** Settings that change nothing here, and why a script that sets them may go on all the same. */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  // Forward acknowledgment: the kernel has kept the name alone since RACK took its place.
  'net.ipv4.tcp_fack',
  // Counts only for connections with accurate ECN, which is never negotiated.
  'net.ipv4.tcp_ecn_option',
  // Fast open's cookies.
  'net.ipv4.tcp_fastopen_key',
  'net.ipv4.tcp_fastopen_blackhole_timeout_sec',
])

/** What `ip route` calls a route's attributes, and what a `RouteSpec` does. */
const ROUTE_ATTRIBUTES: Readonly<Record<string, string>> = tableOf({
  mtu: 'mtu',
  advmss: 'advertisedMss',
  initcwnd: 'initialCwnd',
})

const HYSTART_DETECT = '/sys/module/tcp_cubic/parameters/hystart_detect'

/** Interprets the commands of one script. */
export class Shell {
  private readonly options: ShellOptions
  /** Values from before set_sysctls.py, for the script that it writes to restore them. */
  private readonly restore = new Map<string, string>()
  private counted: Readonly<Record<string, number>> = {}

  constructor(options: ShellOptions) {
    this.options = options
  }

  /**
   * Runs commands.
   * @returns the last one's exit status
   * @throws Unsupported for commands that are not known here
   */
  run(text: string): number {
    let status = 0
    for (const pipeline of parseShell(text)) {
      if (pipeline.after === '&&' && status !== 0) continue
      if (pipeline.after === '||' && status === 0) continue
      status = this.pipeline(pipeline)
    }
    return status
  }

  private pipeline({ commands, hasAlternative }: Pipeline): number {
    let last = DONE
    try {
      for (const command of commands) last = this.command(command, last.output)
    } catch (error) {
      // What is said to be done otherwise is done otherwise.
      if (error instanceof Unsupported && hasAlternative) return 1
      throw error
    }
    return last.status
  }

  private command({ words, output }: ShellCommand, input: string): Ended {
    const [path = '', ...args] = words
    const name = path.split('/').pop()!
    switch (name) {
      case 'sysctl':
        return this.sysctl(args)
      case 'set_sysctls.py':
        return this.setSysctls(args)
      case 'ip':
        return this.ip(args)
      case 'tc':
        return this.tc(args)
      case 'ethtool':
        return this.ethtool(args)
      case 'nstat':
        return this.nstat()
      case 'grep':
        return grep(args, (path) => (path === null ? input : this.procFile(path)))
      case 'echo':
        return this.echo(args, output)
      case 'rm':
        for (const file of args) this.options.host.files.delete(file)
        return DONE
      case 'dd':
        return this.dd(args)
      default:
        if (name.startsWith('sysctl_restore_')) return this.restoreSysctls()
        if (name.endsWith('.sh')) return this.include(path)
        throw new Unsupported(`the command ${name}`)
    }
  }

  private include(path: string): Ended {
    const text = this.options.include(path)
    if (text === null) throw new Unsupported(`${path} cannot be read`)
    return { status: this.run(text), output: '' }
  }

  /** `sysctl [-q] [-e] [-w] NAME=VALUE…` */
  private sysctl(args: readonly string[]): Ended {
    for (const arg of args) if (!arg.startsWith('-')) this.set(...splitSetting(arg))
    return DONE
  }

  /** The suite's helper: `/proc/sys/NAME=VALUE`, and a script that undoes it. */
  private setSysctls(args: readonly string[]): Ended {
    for (const arg of args) {
      const [path, value] = splitSetting(arg)
      const name = path.replace(/^\/proc\/sys\//, '').replaceAll('/', '.')
      const { sysctl } = this.options.host
      if (!this.restore.has(name) && sysctl.has(name)) this.restore.set(name, sysctl.get(name))
      this.set(name, value)
    }
    return DONE
  }

  private restoreSysctls(): Ended {
    for (const [name, value] of this.restore) this.options.host.sysctl.set(name, value)
    this.restore.clear()
    return DONE
  }

  private set(given: string, value: string): void {
    const name = given.replaceAll('/', '.')
    const { sysctl } = this.options.host
    if (!sysctl.has(name)) {
      if (WITHOUT_EFFECT.has(name)) return
      throw new Unsupported(`the setting ${name}`)
    }
    try {
      sysctl.set(name, value)
    } catch (error) {
      throw new Unsupported((error as Error).message)
    }
  }

  private ip(args: readonly string[]): Ended {
    const words = args.filter((arg) => !arg.startsWith('-'))
    if (words[0] === 'tcp_metrics' && words[1] === 'flush') {
      this.options.host.sockets.tcp.layer.fastOpen.forget()
      return DONE
    }
    if (words[0] === 'route') return this.route(words.slice(1))
    throw new Unsupported(`ip ${words.join(' ')}`)
  }

  /** `ip route add|change|replace PREFIX [via ADDRESS] [dev NAME] [advmss N] [mtu [lock] N] [initcwnd N]` */
  private route([verb = '', target = '', ...words]: readonly string[]): Ended {
    const prefix = parseIpPrefix(target.includes('/') ? target : `${target}/${target.includes(':') ? 128 : 32}`)
    if (!['add', 'change', 'replace'].includes(verb) || prefix === undefined) {
      throw new Unsupported(`ip route ${verb} ${target}`)
    }
    const { host, link } = this.options
    const spec = { prefix, interface: host.ip.interfaces.find(({ port }) => port === link) ?? null }
    const values: Record<string, number | boolean> = {}
    const rest = [...words]
    for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
      if (word === 'mtu' && rest[0] === 'lock') {
        values['mtuLocked'] = true
        rest.shift()
      }
      const value = rest.shift()
      // The link has nobody on it but the peer: which gateway is named makes no difference.
      if (word === 'via' || word === 'dev') continue
      const name = ROUTE_ATTRIBUTES[word]
      if (name === undefined) throw new Unsupported(`ip route … ${word}`)
      values[name] = Number(value)
    }
    return host.ip.routes.replace({ ...spec, ...values }) === 0 ? DONE : { status: 2, output: '' }
  }

  private tc(args: readonly string[]): Ended {
    const kind = args.find((arg) => arg === 'pfifo' || arg === 'fq')
    const limit = args.indexOf('limit')
    if (args[0] !== 'qdisc' || (limit >= 0 && args[limit + 1] !== '0')) {
      throw new Unsupported(`tc ${args.join(' ')}`)
    }
    this.options.link.isFull = limit >= 0
    this.options.link.paces = kind === 'fq'
    return DONE
  }

  private ethtool(args: readonly string[]): Ended {
    if (args[0] !== '-K') throw new Unsupported(`ethtool ${args.join(' ')}`)
    const off = args.indexOf('gso')
    if (off >= 0) this.options.link.offload = args[off + 1] !== 'off'
    return DONE
  }

  /** Counters that have moved since the last time: `TcpExtOutOfWindowIcmps 1`. */
  private nstat(): Ended {
    const counters = this.counters()
    const lines = Object.entries(counters)
      .map(([name, value]) => [name, value - (this.counted[name] ?? 0)] as const)
      .filter(([, delta]) => delta !== 0)
    this.counted = counters
    return { status: 0, output: lines.map(([name, delta]) => `${name} ${delta}\n`).join('') }
  }

  private counters(): Record<string, number> {
    const flat: Record<string, number> = {}
    for (const [group, counters] of Object.entries(this.options.host.ip.mib as unknown as Record<string, object>)) {
      const prefix = group[0]!.toUpperCase() + group.slice(1)
      for (const [name, value] of Object.entries(counters)) if (typeof value === 'number') flat[prefix + name] = value
    }
    return flat
  }

  /** /proc/net/tcp and tcp6, as far as ports and states: addresses are zeros. */
  private procFile(path: string): string {
    const family = { '/proc/net/tcp': 4, '/proc/net/tcp6': 6 }[path]
    if (family === undefined) throw new Unsupported(`the file ${path}`)
    const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0')
    const rows = snapshot(this.options.host).sockets.filter(
      (socket) => socket.protocol === 'tcp' && socket.family === family,
    ) as TcpSnapshot[]
    return rows
      .map(({ local, remote, state }, row) => {
        const [here, there] = [local, remote].map(({ port }) => `${'0'.repeat(family === 4 ? 8 : 32)}:${hex(port, 4)}`)
        return `${String(row).padStart(4)}: ${here} ${there} ${hex(stateNumber(state), 2)} \n`
      })
      .join('')
  }

  private echo(args: readonly string[], output: string | null): Ended {
    if (output === null || output === '/dev/null') return { status: 0, output: `${args.join(' ')}\n` }
    // Both of HyStart's detectors are always on.
    if (output === HYSTART_DETECT && args[0] === '3') return DONE
    throw new Unsupported(`writing ${args.join(' ')} to ${output}`)
  }

  /** `dd bs=N count=N if=/dev/zero of=FILE` */
  private dd(args: readonly string[]): Ended {
    const values = new Map(args.map((arg) => splitSetting(arg)))
    if (values.get('if') !== '/dev/zero') throw new Unsupported('dd of anything but /dev/zero')
    const [file, size, count] = ['of', 'bs', 'count'].map((name) => values.get(name))
    if (file === undefined || !/^\d+$/.test(size ?? '') || !/^\d+$/.test(count ?? '')) {
      throw new Unsupported(`dd ${args.join(' ')}`)
    }
    this.options.host.files.set(file, bufferOf(Number(size) * Number(count)))
    return DONE
  }
}

const stateNumber = (name: string): number => Object.values(TcpState).find((state) => tcpStateName(state) === name) ?? 0

const splitSetting = (text: string): [string, string] => {
  const equals = text.indexOf('=')
  if (equals < 0) throw new Unsupported(`${text} without a value`)
  return [text.slice(0, equals), text.slice(equals + 1)]
}

/** @param read the text of a file, or with null what is piped in */
const grep = (args: readonly string[], read: (path: string | null) => string): Ended => {
  const [pattern = '', ...files] = args
  const text = files.length === 0 ? read(null) : files.map(read).join('')
  const lines = text.split('\n').filter((line) => line.includes(pattern))
  return { status: lines.length > 0 ? 0 : 1, output: lines.join('\n') }
}
