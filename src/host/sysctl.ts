import { INT_MAX, INTERFACE_SYSCTLS, IP_SYSCTLS } from '../ip/settings.ts'
import { MIN_RECEIVE_BUFFER, MIN_SEND_BUFFER } from '../ip/truesize.ts'
import { keysOfText } from '../tcp/fast-open.ts'
import { type SettingRange, tcpSettingRange } from '../tcp/settings-range.ts'
import type { Host } from './host.ts'

/** Where a setting is kept, and the least and greatest value that it takes. */
interface Field {
  readonly object: Record<string, unknown>
  readonly field: string
  readonly least: number
  readonly most: number
}

/** The settings of net.core for queues, and the least that each takes: room for a packet and its accounting. */
const LEAST_BUFFERS = {
  rmem_default: MIN_RECEIVE_BUFFER,
  wmem_default: MIN_SEND_BUFFER,
  rmem_max: MIN_RECEIVE_BUFFER,
  wmem_max: MIN_SEND_BUFFER,
}

/** What Linux shows while no key was drawn. */
const NO_KEY = '00000000-00000000-00000000-00000000'

/** A host's settings by the names that sysctl(8) gives them, with values as text, as in /proc/sys. */
export class Sysctl {
  private readonly fields = new Map<string, Field>()
  private readonly host: Host

  constructor(host: Host) {
    this.host = host
    const tcp = host.tcpSettings as unknown as Record<string, unknown>
    for (const field of Object.keys(tcp)) {
      if (field.startsWith('tcp_')) this.add(`net.ipv4.${field}`, tcp, field, tcpSettingRange(field))
    }
    this.add('net.core.somaxconn', tcp, 'somaxconn')
    // Constants on Linux.
    this.add('netglass.time_wait_ms', tcp, 'time_wait_ms')
    this.add('netglass.initial_cwnd', tcp, 'initial_cwnd', tcpSettingRange('initial_cwnd'))
    const sockets = host.sockets.settings as unknown as Record<string, unknown>
    for (const [field, least] of Object.entries(LEAST_BUFFERS)) {
      this.add(`net.core.${field}`, sockets, field, [least, INT_MAX])
    }
    this.add('net.ipv4.ip_local_port_range', sockets, 'ip_local_port_range', [1, 65_535])
    this.add('net.ipv4.ip_unprivileged_port_start', sockets, 'ip_unprivileged_port_start', [0, 65_535])
    this.add('net.ipv4.ip_nonlocal_bind', sockets, 'ip_nonlocal_bind', [0, 255])
    this.add('net.ipv4.ping_group_range', sockets, 'ping_group_range', [0, 0xffff_fffe])
    this.add('net.unix.max_dgram_qlen', sockets, 'max_dgram_qlen')
    this.add('net.ipv6.bindv6only', sockets, 'bindv6only', [0, 255])
    const ip = host.ip.settings as unknown as Record<string, unknown>
    for (const [name, { field, min, max }] of Object.entries(IP_SYSCTLS)) {
      this.add(name, ip, field, [min, max])
    }
  }

  private add(name: string, object: Record<string, unknown>, field: string, range: SettingRange = [0, INT_MAX]): void {
    this.fields.set(name, { object, field, least: range[0], most: range[1] })
  }

  /** Every name, in order. */
  get names(): string[] {
    return [...this.fields.keys(), ...this.ofInterfaces().keys()].sort()
  }

  /** Is there a setting of this name? */
  has(name: string): boolean {
    return this.lookUp(name) !== undefined
  }

  private lookUp(name: string): Field | undefined {
    const wanted = name.replaceAll('/', '.')
    return this.fields.get(wanted) ?? this.ofInterfaces().get(wanted)
  }

  /** What the interfaces have that there are now. */
  private ofInterfaces(): Map<string, Field> {
    const fields = new Map<string, Field>()
    for (const iface of this.host.ip.interfaces) {
      const object = iface.settings as unknown as Record<string, unknown>
      for (const [prefix, table] of Object.entries(INTERFACE_SYSCTLS)) {
        for (const [name, { field, min, max }] of Object.entries(table)) {
          fields.set(`${prefix}.${iface.name}.${name}`, { object, field, least: min, most: max })
        }
      }
    }
    return fields
  }

  /**
   * The value, as sysctl prints it: several numbers are separated by tabs.
   * @throws TypeError when there is no such setting
   */
  get(name: string): string {
    const { object, field } = this.find(name)
    const value = object[field]
    if (Array.isArray(value)) return value.join('\t')
    if (field === 'tcp_fastopen_key' && value === '') return NO_KEY
    return typeof value === 'boolean' ? String(Number(value)) : String(value)
  }

  /**
   * Sets a value given as text.
   * @throws TypeError, in one line, when there is no such setting or the value is not of its kind
   */
  set(name: string, text: string): void {
    const { object, field, least, most } = this.find(name)
    const before = object[field]
    if (typeof before === 'string') {
      this.checkText(name, field, text)
      object[field] = text.trim()
      return
    }
    const words = text.trim().split(/[\s,]+/)
    const count = Array.isArray(before) ? before.length : 1
    const numbers = words.map(parseWhole)
    if (words.length !== count || numbers.some(Number.isNaN)) {
      throw new TypeError(`${name} takes ${count === 1 ? 'a whole number' : `${count} whole numbers`}, not "${text}"`)
    }
    const odd = numbers.find((number) => number < least || number > most)
    if (odd !== undefined) throw new TypeError(`${name} is from ${least} to ${most}, not ${odd}`)
    if (field === 'ip_local_port_range') this.checkPortRange(name, numbers as [number, number])
    if (field === 'ip_unprivileged_port_start') this.checkPortStart(name, numbers[0]!)
    // As Linux has it for nobody.
    if (field === 'ping_group_range' && numbers[1]! < numbers[0]!) numbers.splice(0, 2, 1, 0)
    object[field] = Array.isArray(before) ? numbers : typeof before === 'boolean' ? numbers[0] !== 0 : numbers[0]
  }

  private checkText(name: string, field: string, text: string): void {
    const { names } = this.host.sockets.tcp.layer.congestionControls
    if (field === 'tcp_congestion_control' && !names.includes(text.trim())) {
      throw new TypeError(`${name} is one of ${names.join(', ')}, not "${text}"`)
    }
    if (field === 'tcp_fastopen_key' && keysOfText(text) === null) {
      throw new TypeError(`${name} is four groups of hexadecimal digits, a backup behind a comma, not "${text}"`)
    }
  }

  private checkPortRange(name: string, [first, last]: [number, number]): void {
    const { ip_unprivileged_port_start: start } = this.host.sockets.settings
    if (last < first) throw new TypeError(`${name}: the last port, ${last}, is below the first, ${first}`)
    if (first < start) throw new TypeError(`${name}: ${first} is below net.ipv4.ip_unprivileged_port_start, ${start}`)
  }

  private checkPortStart(name: string, start: number): void {
    const [first] = this.host.sockets.settings.ip_local_port_range
    if (start > first)
      throw new TypeError(`${name}: ${start} is above the first of net.ipv4.ip_local_port_range, ${first}`)
  }

  private find(name: string): Field {
    const found = this.lookUp(name)
    if (found !== undefined) return found
    const last = `.${name.slice(Math.max(name.lastIndexOf('.'), name.lastIndexOf('/')) + 1)}`
    const like = [...this.fields.keys()].sort().find((other) => other.endsWith(last))
    throw new TypeError(`there is no setting ${name}${like === undefined ? '' : `, but ${like}`}`)
  }
}

/** A whole number as the kernel reads it: decimal, hexadecimal behind 0x, octal behind 0; NaN for anything else. */
const parseWhole = (word: string): number => {
  const [, sign, digits = ''] = /^(-?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)$/.exec(word) ?? []
  if (digits === '') return Number.NaN
  const value = Number(/^0[0-7]+$/.test(digits) ? `0o${digits}` : digits)
  return sign === '-' ? -value : value
}
