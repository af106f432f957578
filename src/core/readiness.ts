/** What a descriptor is ready for, as bits: the values of poll(2) and epoll(7) on Linux. */
export const Readiness = {
  /** Something to read, an end of file, or a connection to accept. */
  In: 0x0001,
  /** Urgent data. */
  Pri: 0x0002,
  /** Room to write. */
  Out: 0x0004,
  /** An error is pending. */
  Err: 0x0008,
  /** Both directions are over. */
  Hup: 0x0010,
  /** Not an open descriptor. */
  Nval: 0x0020,
  /** The peer will send no more. */
  RdHup: 0x2000,
} as const

/** What nobody can choose not to hear of. */
export const ALWAYS_REPORTED = Readiness.Err | Readiness.Hup

/** Who is told when an endpoint becomes ready for more: the socket on top of it. */
export interface ReadinessObserver {
  /** @param events `Readiness` bits that have just become true, or true anew (more data, more room) */
  ready(events: number): void
}
