/**
 * What makes the stack faster and can be left out, so that what it brings can be measured, and what is wrong with it
 * found: all of it has a slower way beside it that does the same. Names as `netglass bench --without` takes them.
 */
export const FAST_PATHS = {
  wasm: 'checksums in WebAssembly vectors, and copies that checksum',
  'copy-checksum': 'what is sent is summed while it is copied into the frame, in one go; needs wasm',
  'checksum-offload': 'loopback and devices compute and verify no checksum',
  'segmentation-offload': 'loopback and devices carry segments of up to 64 KB; needs checksum-offload',
  'input-cache': 'an interface remembers what the last packet was for: no look at the routes',
  'destination-cache': 'route, source and neighbour are kept with a connection, and for each address',
  'plain-links': 'a link that does nothing to frames has no clock to ask and no queues to look after',
  batches: 'links and devices pass up to 64 frames on in one run',
  'header-prediction':
    'TCP: the segment that is expected, the message that leaves at once and the header without rare options go straight',
  'lazy-timers': 'a timer that moves to a later time, or stops for a while, stays in its slot until that comes up',
  'record-reuse': 'records of the send queue are used again',
  'block-reuse': 'the block of memory last given back is handed out again, neither merged nor split',
  'queue-memory': 'a queue takes a block as large as it was before at once, and does not grow into it anew',
  'short-copies': 'up to 16 bytes are copied into queues and out of them one by one, without a call',
  'view-reuse': 'views of up to 256 bytes of queues are used again for what is read from the same place',
  'state-reuse': 'congestion states, send queues and timers of connections are used again',
  'pair-hashes': 'two addresses are kept with what is hashed of them: time stamps, first sequence numbers',
  'call-reuse': 'a receive, accept or connect that waits is an object of the process that is used again',
  handover:
    'a receive, accept or connect that was woken tries again when the turn is over, and not by a promise of its own',
  'call-turns':
    'in real time, what a call sends is delivered before it returns, in a turn that it takes itself, and what a device has is answered before that',
  microturns: 'in real time, turns follow each other without the event loop in between',
  inlining: 'V8 puts more functions of a path into one another: of the whole process, in netglass bench and up',
  'early-code': 'V8 compiles what has run an eighth as often as it would ask for: of the whole process, in netglass up',
  'event-ticks': 'in real time, events of Node programs have their turns as ticks, and not in turns of the event loop',
  ticks: 'in virtual time, programs run on without a turn of the event loop',
  spin: 'a device is looked at again before its process sleeps',
  'stream-reads': 'packets of a device are read by the event loop, and dealt with in its callback; needs poll-handles',
  'poll-handles': "a device is waited for by the event loop's own epoll, and not in a thread",
} as const

export type FastPath = keyof typeof FAST_PATHS

/** Which of them are used. */
export type FastPaths = { readonly [Path in FastPath]: boolean }

const names = Object.keys(FAST_PATHS) as FastPath[]

/** Those of them that need another. */
const NEEDS: Partial<Record<FastPath, FastPath>> = {
  'copy-checksum': 'wasm',
  'segmentation-offload': 'checksum-offload',
  'stream-reads': 'poll-handles',
}

/** All but those of `without`, and those that need these. @throws TypeError for a name that is none */
export const fastPaths = (without: readonly FastPath[] = []): FastPaths => {
  const unknown = without.find((name) => !Object.hasOwn(FAST_PATHS, name))
  if (unknown !== undefined) throw new TypeError(`there is no fast path ${unknown}; there are ${names.join(', ')}`)
  const isOn = (name: FastPath): boolean => !without.includes(name) && (NEEDS[name] === undefined || isOn(NEEDS[name]))
  return Object.fromEntries(names.map((name) => [name, isOn(name)])) as unknown as FastPaths
}

export const ALL_FAST_PATHS: FastPaths = Object.freeze(fastPaths())
