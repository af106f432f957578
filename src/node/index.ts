/** What needs Node and Linux, as `netglass/node`: devices, the real clock, captures to files, the control socket. */
export { CaptureFile } from './capture-file.ts'
export { ControlServer } from './control.ts'
export { ControlClient, listStacks } from './control-client.ts'
export { DeviceError } from './device-error.ts'
export { Directory } from './directory.ts'
export { configureHostSide } from './ifconfig.ts'
export { RealClock, RealTimeDriver } from './realtime.ts'
export { openTunTap, type TunTapOptions, TunTapPort } from './tuntap.ts'
