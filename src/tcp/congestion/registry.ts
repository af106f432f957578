import type { TcpSettings } from '../settings.ts'
import { bbr } from './bbr.ts'
import type { CongestionControl } from './control.ts'
import { cubic } from './cubic.ts'
import { reno } from './reno.ts'

/** The congestion controls that a host knows, by name (tcp_available_congestion_control, TCP_CONGESTION). */
export class CongestionControls {
  private readonly byName = new Map<string, CongestionControl>([
    [cubic.name, cubic],
    [reno.name, reno],
    [bbr.name, bbr],
  ])
  private readonly settings: TcpSettings
  private lastDefault: CongestionControl = cubic

  constructor(settings: TcpSettings) {
    this.settings = settings
  }

  /** For new connections: tcp_congestion_control. */
  get default(): CongestionControl {
    const { tcp_congestion_control: name } = this.settings
    return name === this.lastDefault.name ? this.lastDefault : this.findDefault(name)
  }

  private findDefault(name: string): CongestionControl {
    const found = this.byName.get(name) ?? cubic
    this.lastDefault = found
    return found
  }

  get names(): string[] {
    return [...this.byName.keys()]
  }

  find(name: string): CongestionControl | undefined {
    return this.byName.get(name)
  }

  /** Adds one; it replaces another of the same name. */
  register(control: CongestionControl): void {
    this.byName.set(control.name, control)
    if (this.lastDefault.name === control.name) this.lastDefault = control
  }
}
