import type { FastPath } from '../../core/fast-paths.ts'
import { Network } from '../../sim/network.ts'
import { AF_INET, SO_RCVLOWAT, SOCK_STREAM, SOL_SOCKET } from '../../socket/constants.ts'

/** Cases in virtual time. */

interface Outcome {
  /** Mbit/s of data, in virtual time. */
  readonly goodput: number
  /** Segments sent by both hosts for each second of real time. */
  readonly segments: number
}

/**
 * A transfer over a link of 20 ms and 1 Gbit/s that loses a share of its packets.
 * @param lowat bytes for which the receiver waits (SO_RCVLOWAT): 1 makes it run on for every segment
 * @param without fast paths to do without
 */
const transfer = async (bytes: number, loss: number, lowat: number, without: readonly FastPath[]): Promise<Outcome> => {
  const network = new Network({ seed: 1, without })
  const source = network.host('source')
  const sink = network.host('sink')
  network.link(source, sink, { delay: 20, rate: 1e9, loss })
  const start = performance.now()
  const receiver = sink.spawn('sink', async (sys) => {
    const listener = sys.socket(AF_INET, SOCK_STREAM)
    sys.bind(listener, { address: '0.0.0.0', port: 5001 })
    sys.listen(listener, 1)
    const fd = await sys.accept(listener)
    sys.setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, lowat)
    const buffer = new Uint8Array(256 * 1024)
    while ((await sys.recv(fd, buffer)) > 0) {
      // Until the end.
    }
  })
  source.spawn('source', async (sys) => {
    const fd = sys.socket(AF_INET, SOCK_STREAM)
    await sys.connect(fd, { address: '10.0.0.2', port: 5001 })
    const buffer = new Uint8Array(256 * 1024)
    for (let sent = 0; sent < bytes; ) sent += await sys.send(fd, buffer)
    await sys.close(fd)
  })
  await network.runProcess(receiver, 3_600_000)
  const segments = source.ip.mib.tcp.OutSegs + sink.ip.mib.tcp.OutSegs
  const goodput = (bytes * 8) / network.now / 1000
  network.close()
  return { goodput, segments: segments / ((performance.now() - start) / 1000) }
}

/** @returns Mbit/s of data through 1 % loss each way, in virtual time */
export const lossy = async (bytes: number, without: readonly FastPath[]): Promise<number> =>
  (await transfer(bytes, 0.01, 1, without)).goodput

/**
 * @param lowat bytes for which the receiver waits
 * @returns segments simulated in a second of real time, without loss
 */
export const simulatedSegments = async (bytes: number, lowat: number, without: readonly FastPath[]): Promise<number> =>
  (await transfer(bytes, 0, lowat, without)).segments
