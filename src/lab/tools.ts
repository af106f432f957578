import type { Host } from '../host/host.ts'
import { ip } from '../inspect/ip.ts'
import { lsof } from '../inspect/lsof.ts'
import { netstat } from '../inspect/netstat.ts'
import { nstat } from '../inspect/nstat.ts'
import { type Snapshot, snapshot } from '../inspect/snapshot.ts'
import { ss } from '../inspect/ss.ts'
import { sysctl } from '../inspect/sysctl.ts'

/** Tools by their names, as a scenario asks for them: `netstat -ant`. */
const TOOLS: Readonly<Record<string, (snapshot: Snapshot, args: readonly string[]) => string>> = {
  netstat,
  ss,
  ip,
  nstat,
  lsof,
  sysctl,
}

/**
 * What a tool prints on a host now.
 * @throws TypeError when there is no such tool
 */
export const runTool = (host: Host, command: string): string => {
  const [name = '', ...args] = command.split(' ')
  const tool = TOOLS[name]
  if (tool === undefined) throw new TypeError(`there is no tool ${name}: ${Object.keys(TOOLS).join(', ')}`)
  return tool(snapshot(host), args)
}
