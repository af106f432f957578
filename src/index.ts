/** What programs import from `netglass`. Constants are in `netglass/constants`, services in `netglass/services`. */
export { type Clock, type Micros, VirtualClock } from './core/clock.ts'
export { Errno, type ErrnoCode, SystemError } from './core/errno.ts'
export { CryptoRandom, type Random, SeededRandom } from './core/random.ts'
export { World } from './core/world.ts'
export type { Data, Mmsghdr, Msghdr, Sys } from './host/calls.ts'
export { Host, type HostOptions } from './host/host.ts'
export type { PollFd, SelectSet } from './host/polling.ts'
export type { OutputLine, Process, Program } from './host/process.ts'
export * as netdb from './host/resolver.ts'
export type { ResolverConfig } from './host/resolver-config.ts'
export { Cable, type CableOptions } from './link/cable.ts'
export { Capture, type CaptureOptions } from './link/capture.ts'
export type { ImpairmentOptions } from './link/impairment.ts'
export type { FrameTap, LinkFeatures, LinkPort, LinkUser } from './link/port.ts'
export { Switch } from './link/switch.ts'
export { NetworkDigest } from './sim/digest.ts'
export {
  type Counterexample,
  type Property,
  replaySeed,
  type SeedFailure,
  shortestCounterexample,
  trySeed,
} from './sim/explore.ts'
export {
  type LinkEnd,
  Network,
  type NetworkLink,
  type NetworkLinkOptions,
  type NetworkNode,
  type NetworkObserver,
  type NetworkOptions,
} from './sim/network.ts'
export type { Partition } from './sim/partition.ts'
export { Timeline } from './sim/timeline.ts'
export type { Sockaddr } from './socket/address.ts'
export type { ControlData, ControlMessage, ExtendedError, PacketInfo, PacketInfo6 } from './socket/control.ts'
export type { EpollEvent } from './socket/epoll.ts'
export * as inet from './socket/inet-text.ts'
export type { GroupReq, GroupSourceReq, IpMreqn, IpMreqSource, Ipv6Mreq } from './socket/multicast-options.ts'
export type { Linger, OptionValue, Timeval } from './socket/socket-options.ts'
export type { TcpInfo } from './tcp/info.ts'
