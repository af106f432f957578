import { IP_SYSCTLS } from '../ip/settings.ts'
import { keysOfText } from '../tcp/fast-open.ts'
import type { Host } from './host.ts'

/** Where a setting is kept, and the least and greatest value that it takes. */
interface Field {
  readonly object: Record<string, unknown>
  readonly field: string
  readonly least?: number
  readonly most?: number
}

/** A host's settings by the names that sysctl(8) gives them, with values as text, as in /proc/sys. */
export class Sysctl {
  private readonly fields = new Map<string, Field>()
  private readonly host: Host

  constructor(host: Host) {
    this.host = host
    const tcp = host.tcpSettings as unknown as Record<string, unknown>
    for (const field of Object.keys(tcp)) {
      if (field.startsWith('tcp_')) this.fields.set(`net.ipv4.${field}`, { object: tcp, field })
    }
    this.fields.set('net.core.somaxconn', { object: tcp, field: 'somaxconn' })
    const sockets = host.sockets.settings as unknown as Record<string, unknown>
    for (const field of ['rmem_default', 'wmem_default', 'rmem_max', 'wmem_max']) {
      this.fields.set(`net.core.${field}`, { object: sockets, field })
    }
    for (const field of ['ip_local_port_range', 'ip_unprivileged_port_start', 'ip_nonlocal_bind', 'ping_group_range']) {
      this.fields.set(`net.ipv4.${field}`, { object: sockets, field })
    }
    this.fields.set('net.unix.max_dgram_qlen', { object: sockets, field: 'max_dgram_qlen', least: 0 })
    this.fields.set('net.ipv6.bindv6only', { object: sockets, field: 'bindv6only' })
    const ip = host.ip.settings as unknown as Record<string, unknown>
    for (const [name, { field, min, max }] of Object.entries(IP_SYSCTLS)) {
      this.fields.set(name, { object: ip, field, least: min, most: max })
    }
  }

  /** Every name, in order. */
  get names(): string[] {
    return [...this.fields.keys()].sort()
  }

  /** Is there a setting of this name? */
  has(name: string): boolean {
    return this.fields.has(name.replaceAll('/', '.'))
  }

  /**
   * The value, as sysctl prints it: several numbers are separated by tabs.
   * @throws TypeError when there is no such setting
   */
  get(name: string): string {
    const { object, field } = this.find(name)
    const value = object[field]
    if (Array.isArray(value)) return value.join('\t')
    return typeof value === 'boolean' ? String(Number(value)) : String(value)
  }

  /**
   * Sets a value given as text.
   * @throws TypeError, in one line, when there is no such setting or the value is not of its kind
   */
  set(name: string, text: string): void {
    const { object, field, least = Number.NEGATIVE_INFINITY, most = Number.POSITIVE_INFINITY } = this.find(name)
    const before = object[field]
    const words = text.trim().split(/[\s,]+/)
    const numbers = words.map(Number)
    const areNumbers = numbers.every((n) => Number.isFinite(n))
    if (Array.isArray(before)) {
      if (!areNumbers || numbers.length !== before.length) {
        throw new TypeError(`${name} takes ${before.length} numbers, not "${text}"`)
      }
      object[field] = numbers
    } else if (typeof before === 'string') {
      const { names } = this.host.sockets.tcp.layer.congestionControls
      if (field === 'tcp_congestion_control' && !names.includes(text.trim())) {
        throw new TypeError(`${name} is one of ${names.join(', ')}, not "${text}"`)
      }
      if (field === 'tcp_fastopen_key' && keysOfText(text) === null) {
        throw new TypeError(`${name} is four groups of hexadecimal digits, a backup behind a comma, not "${text}"`)
      }
      object[field] = text.trim()
    } else {
      if (!areNumbers || numbers.length !== 1) throw new TypeError(`${name} takes a number, not "${text}"`)
      if (numbers[0]! < least || numbers[0]! > most)
        throw new TypeError(`${name} is from ${least} to ${most}, not ${text}`)
      object[field] = typeof before === 'boolean' ? numbers[0] !== 0 : numbers[0]
    }
  }

  private find(name: string): Field {
    const found = this.fields.get(name.replaceAll('/', '.'))
    if (found === undefined) throw new TypeError(`there is no setting ${name}`)
    return found
  }
}
