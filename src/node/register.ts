import { basename, extname } from 'node:path'
import { openControls } from './attach.ts'
import { startNetwork } from './start.ts'

/**
 * `import 'netglass/register'`: from here on this thread's net, dgram, dns and what stands on them use our stack, on a
 * host of the network file that NETGLASS_NETWORK names, which NETGLASS_HOST chooses; without a file on a host by
 * itself. NETGLASS_KERNEL lists what stays the kernel's, as `netglass run --kernel`. `netglass ss` and its like can
 * look in, as into a program of `netglass run`.
 */
const { NETGLASS_NETWORK, NETGLASS_HOST, NETGLASS_KERNEL } = process.env
const { hosts } = startNetwork({
  ...(NETGLASS_NETWORK === undefined ? {} : { network: NETGLASS_NETWORK }),
  ...(NETGLASS_HOST === undefined ? {} : { host: NETGLASS_HOST }),
  kernel: NETGLASS_KERNEL === undefined ? [] : NETGLASS_KERNEL.split(','),
})

const script = process.argv[1] ?? 'node'
const own = basename(script, extname(script))
void openControls([...hosts.values()], undefined, (host) => (NETGLASS_NETWORK === undefined ? own : host.name), '')
