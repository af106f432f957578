import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { ADDRESSES, HOSTS, parseScript, SETTINGS } from './script.ts'

/** Scripts run side by side: most of the time goes by in waiting. */
const WORKERS = 6

/**
 * Runs scripts on the kernel, as root.
 * @param pair are they about the two machines `HOSTS`?
 * @returns what came of each one's steps, in their order
 */
export const runOnKernel = async (scripts: readonly string[], pair = false): Promise<string[][]> => {
  const outcomes: string[][] = []
  const where = pair ? { hosts: HOSTS } : { addresses: ADDRESSES }
  const work = async (worker: number): Promise<void> => {
    const program = join(import.meta.dirname, '../interop/errno.py')
    const python = spawn('python3', [program], { stdio: ['pipe', 'pipe', 'inherit'] })
    const mine = scripts.map((_, i) => i).filter((i) => i % WORKERS === worker)
    for (const i of mine) {
      const script = { steps: parseScript(scripts[i]!), ...where, sysctl: SETTINGS }
      python.stdin.write(`${JSON.stringify(script)}\n`)
    }
    python.stdin.end()
    let next = 0
    for await (const line of createInterface({ input: python.stdout })) outcomes[mine[next++]!] = JSON.parse(line)
  }
  await Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(worker)))
  return outcomes
}
