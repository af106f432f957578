/** What a page needs of its browser, as `netglass/browser`: the real clock. */
export { RealClock, RealTimeDriver } from './realtime.ts'
