import { join } from 'node:path'

/** The command `netglass` as it was built. */
export const COMMAND = join(import.meta.dirname, '../../dist/cli/main.js')
