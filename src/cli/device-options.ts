import type { Command } from 'commander'
import type { FastPath } from '../core/fast-paths.ts'
import { addWithoutOption } from './without.ts'

/** The options of the command line that describe a live host behind a TUN or TAP device. */
export interface DeviceCommandOptions {
  readonly tap?: string
  readonly tun?: string
  readonly ip: string[]
  readonly ip6: string[]
  readonly hostIp: string[]
  readonly mtu?: string
  readonly gateway?: string
  readonly pcap?: string
  readonly name?: string
  readonly set: string[]
  /** `-K`: features and whether they are on. */
  readonly features?: readonly string[]
  readonly busyPoll?: string
  readonly without?: readonly FastPath[]
}

const collect = (value: string, before: string[]): string[] => [...before, value]

/** Adds those options to a command. */
export const addDeviceOptions = (command: Command): Command =>
  addWithoutOption(command)
    .option('--tap <name>', 'a TAP device of this name: Ethernet frames')
    .option('--tun <name>', 'a TUN device of this name: IP packets')
    .option('--ip <address/length>', "the stack's address, IPv4 or IPv6; may be given several times", collect, [])
    .option('--ip6 <address/length>', 'the same as --ip', collect, [])
    .option('--host-ip <address/length>', "the kernel's address on the device; may be given several times", collect, [])
    .option('--gateway <address>', "the stack's default route; the first --host-ip unless given")
    .option('--mtu <bytes>', "the device's MTU")
    .option('--set <name=value>', 'a setting, as sysctl -w takes it; may be given several times', collect, [])
    .option(
      '-K, --features <word...>',
      "the device's offloads, as for ethtool: rx, gro, tx or tso, and on or off; all are on",
    )
    .option(
      '--busy-poll <microseconds>',
      'look so long for more after each packet before sleeping: answers come sooner, for processor time',
    )
    .option('--pcap <file>', 'write what passes the device to a pcapng file')
    .option('--name <name>', 'the name under which other commands find this stack')
