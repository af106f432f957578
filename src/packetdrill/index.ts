import type { Micros } from '../core/clock.ts'
import type { FastPath } from '../core/fast-paths.ts'
import type { World } from '../core/world.ts'
import { Host } from '../host/host.ts'
import type { LinkPort } from '../link/port.ts'
import {
  type Configuration,
  configure,
  demandedVersion,
  IP_VERSIONS,
  type IpVersion,
  SUITE_DEFINITIONS,
} from './configuration.ts'
import { Mismatch } from './failure.ts'
import { HostStage, newHost } from './host-stage.ts'
import { formatLadder, type LadderStep } from './ladder.ts'
import { parseScript } from './parser.ts'
import { Runner } from './runner.ts'
import { ScriptError, type ScriptFlag, Unsupported } from './script.ts'
import type { Stage } from './stage.ts'
import { type PacketdrillTarget, TargetStage } from './target.ts'

export type { PacketdrillCalls } from './calls.ts'
export { IP_VERSIONS, type IpVersion } from './configuration.ts'
export { formatLadder, type LadderStep } from './ladder.ts'
export type { PacketdrillSetup, PacketdrillTarget } from './target.ts'

/** What a script is run with. */
export interface PacketdrillOptions {
  /** 'ipv4' unless given. */
  readonly ipVersion?: IpVersion
  /** Of a new host, 'linux' unless given. */
  readonly personality?: 'linux' | 'bsd'
  /**
   * Flags as packetdrill's command line has them, which go before
   * those of the script: `{ mtu: '1500' }`; a flag alone is null.
   */
  readonly flags?: Readonly<Record<string, string | null>>
  /** What stands for names in the script, as -D gives it. */
  readonly definitions?: Readonly<Record<string, string>>
  /** Reads a file that the script includes, by the name that it has there; null when there is none. */
  readonly readFile?: (name: string) => string | null
  /** Where a new host's chance begins: 1 unless given. */
  readonly seed?: number
  /** Fast paths that a new host does without (`core/fast-paths.ts`). */
  readonly without?: readonly FastPath[]
  /** Told of the link before anything passes it: to capture what does. */
  readonly onLink?: (port: LinkPort, world: World) => void
}

/** How a run has ended. */
export interface PacketdrillResult {
  readonly outcome: 'passed' | 'failed' | 'unsupported'
  readonly ipVersion: IpVersion
  /** Line of the script where it went wrong; null when it passed, or when no line is to blame. */
  readonly line: number | null
  /** In one line, what is wrong or missing; empty when it passed. */
  readonly reason: string
  /** What the script says there, and what came; null where there is no such thing. */
  readonly expected: string | null
  readonly actual: string | null
  /** What has happened, to the end or to where it went wrong. */
  readonly ladder: readonly LadderStep[]
  /** Script time at the end, microseconds. */
  readonly duration: Micros
}

/**
 * Runs a packetdrill script in virtual time. Always gives a result: a script that makes no sense has failed, and one
 * that asks for what is not here is unsupported.
 * @param target what is tested: a host of the caller's, with its own settings, which gets one more interface while the
 *   script runs; somebody else's stack; or null for a new host
 * @throws TypeError for a host in real time, and whatever a target of others throws
 */
export const runPacketdrill = async (
  text: string,
  target: Host | PacketdrillTarget | null = null,
  options: PacketdrillOptions = {},
): Promise<PacketdrillResult> => {
  const ipVersion = options.ipVersion ?? 'ipv4'
  let runner: Runner | null = null
  let stage: Stage | null = null
  let ended: Pick<PacketdrillResult, 'outcome' | 'line' | 'reason' | 'expected' | 'actual'>
  try {
    const script = parseScript(text, { ...SUITE_DEFINITIONS[ipVersion], ...options.definitions })
    const demanded = demandedVersion(script.flags)
    if (demanded !== null && demanded !== ipVersion) throw new Unsupported(`the script is for ${demanded} alone`)
    const configuration = configure(ipVersion, [...script.flags, ...flagsOf(options)])
    stage = stageFor(target, configuration, options)
    options.onLink?.(stage.link, stage.world)
    runner = new Runner(script, configuration, stage)
    await runner.run()
    ended = { outcome: 'passed', line: null, reason: '', expected: null, actual: null }
  } catch (error) {
    ended = judge(error, runner?.line ?? null)
  } finally {
    stage?.close()
  }
  return { ...ended, ipVersion, ladder: runner?.ladder ?? [], duration: stage?.now ?? 0 }
}

const flagsOf = ({ flags = {} }: PacketdrillOptions): ScriptFlag[] =>
  Object.entries(flags).map(([name, value]) => ({ name, value }))

const stageFor = (
  target: Host | PacketdrillTarget | null,
  configuration: Configuration,
  { seed = 1, personality = 'linux', readFile = () => null, without = [] }: PacketdrillOptions,
): Stage => {
  if (target === null) return new HostStage(newHost(seed, personality, without), true, configuration, readFile)
  if (target instanceof Host) return new HostStage(target, false, configuration, readFile)
  return new TargetStage(target, configuration)
}

/** @param line the one that was being played */
const judge = (
  error: unknown,
  line: number | null,
): Pick<PacketdrillResult, 'outcome' | 'line' | 'reason' | 'expected' | 'actual'> => {
  if (error instanceof Mismatch) {
    const { message: reason, expected, actual } = error
    return { outcome: 'failed', line: error.line, reason, expected, actual }
  }
  const rest = { expected: null, actual: null }
  if (error instanceof Unsupported) return { outcome: 'unsupported', line, reason: error.message, ...rest }
  if (error instanceof ScriptError) return { outcome: 'failed', line: error.line, reason: error.message, ...rest }
  throw error
}

/** A result as text: the mismatch, and the exchange up to it. @param name the script's, for the first line */
export const formatResult = (name: string, result: PacketdrillResult): string => {
  const { outcome, ipVersion, line, reason, expected, actual, ladder } = result
  const where = `${name}${line === null ? '' : `:${line}`} [${ipVersion}]`
  const lines = [`${outcome.toUpperCase()}  ${where}${reason === '' ? '' : `: ${reason}`}`]
  if (outcome !== 'failed') return lines[0]!
  if (expected !== null) lines.push(`  expected: ${expected}`)
  if (actual !== null) lines.push(`  came:     ${actual}`)
  if (ladder.length > 0) lines.push('  the exchange so far:', formatLadder(ladder))
  return lines.join('\n')
}

/** The versions of IP that a script of this name is run with: the suite's `…v4.pkt` and `…v6.pkt` are for one each. */
export const versionsOf = (name: string): readonly IpVersion[] =>
  IP_VERSIONS.filter((version) => !name.endsWith(version === 'ipv6' ? 'v4.pkt' : 'v6.pkt'))
