import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { COMMAND } from '../support/command.ts'

/** What the command says of itself, run as a program. */

const netglass = (...args: string[]): { status: number | null; out: string; err: string } => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, ...args], { encoding: 'utf8' })
  return { status, out: stdout, err: stderr }
}

it('helps with a command of a command, and says what is none', () => {
  const { status, out } = netglass('help', 'bench', 'measure')
  expect(status).toBe(0)
  expect(out).toMatch(/^Usage: netglass bench measure \[options\]\n/)
  expect(out).toContain('\n  --runs <number>     runs of each point (default: 5)\n')
  expect(out).toMatch(/\nExamples:\n {2}netglass bench measure --only host/)
  expect(netglass('help', 'nothing')).toEqual({
    status: 1,
    out: '',
    err: "netglass: there is no command nothing: 'netglass --help' lists them all\n",
  })
})

it('tells of a tool what is here of it, without a stack that runs', () => {
  for (const words of [
    ['ip', 'help'],
    ['ip', '-h'],
    ['help', 'ip'],
  ]) {
    const { status, out } = netglass(...words)
    expect(status).toBe(0)
    expect(out).toMatch(/^Usage: netglass ip \[--stack NAME\] \[options of ip\]\n/)
    expect(out).toMatch(/\nWhat is here of ip:\n {2}Usage: ip \[ -46osd -br \] /)
  }
})

it('says whose help tells more of a wrong command line', () => {
  expect(netglass('bench', 'measure', '--plot').err).toBe(
    "netglass: option '--plot <directory>' argument missing: 'netglass bench measure --help' tells more\n",
  )
  expect(netglass('lap').err).toBe(
    "netglass: unknown command 'lap' (Did you mean lab?): 'netglass --help' tells more\n",
  )
})

it('tells no default of what is off or empty', () => {
  expect(netglass('up', '--help').out).not.toContain('(default')
})
