import type { Host } from '../host/host.ts'
import type { CaptureRequest } from './capture-stream.ts'
import { ControlServer, type ControlServerOptions } from './control.ts'
import { ControlError } from './control-socket.ts'

/**
 * Opens the control socket of a host, at which `netglass netstat`, `ss`, `tcpdump` and their like look into it. It does
 * not keep the process alive, and goes with it; `close` takes it away before.
 * @throws ControlError in one line: EADDRINUSE when a stack of that name is running
 */
export const openControl = async (host: Host, options: ControlServerOptions): Promise<ControlServer> => {
  const control = new ControlServer(options)
  // What is needed to answer is loaded when somebody asks.
  control.handle('snapshot', async () => (await import('../inspect/snapshot.ts')).snapshot(host))
  control.handle('sysctl', (params) => setSetting(host, params))
  control.handle('capture', async (params, signal) =>
    (await import('./capture-stream.ts')).captureStream(host, params as CaptureRequest, signal),
  )
  await control.listen()
  return control
}

/**
 * The same for the hosts of a program, under names that nobody has to choose: where one is in use by another program,
 * the process id is put behind it. Where there can be no control socket there is none.
 * @param given the name that the user has given; with several hosts, `NAME.HOST`
 * @throws ControlError when a stack of the name that was given is running
 */
export const openControls = async (
  hosts: readonly Host[],
  given: string | undefined,
  usual: (host: Host) => string,
  version: string,
): Promise<void> => {
  await Promise.all(
    hosts.map(async (host) => {
      if (given !== undefined) {
        await openControl(host, { name: hosts.length > 1 ? stackName(`${given}.${host.name}`) : given, version })
        return
      }
      const name = stackName(usual(host))
      for (const candidate of [name, stackName(`${name}-${process.pid}`)]) {
        try {
          await openControl(host, { name: candidate, version })
          return
        } catch (error) {
          if (!(error instanceof ControlError)) throw error
          if (error.code !== 'EADDRINUSE') return
        }
      }
    }),
  )
}

/** A name that a stack can have, as near to `text` as possible. */
export const stackName = (text: string): string =>
  text
    .replace(/[^A-Za-z0-9._-]/g, '_')
    .replace(/^[._-]+/, '')
    .slice(-64) || 'stack'

/** Sets a setting of a running stack. @returns its value now @throws TypeError, in one line */
export const setSetting = (host: Host, params: unknown): string => {
  const { name, value } = params as { name?: unknown; value?: unknown }
  host.sysctl.set(String(name), String(value))
  return host.sysctl.get(String(name))
}
