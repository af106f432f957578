import type { Host } from '../host/host.ts'

export const runTool = (_host: Host, _command: string): string => ''
