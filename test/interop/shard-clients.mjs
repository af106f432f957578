/**
 * Two shards of a host that open connections to a server of the kernel, as a program: `node shard-clients.mjs DIST
 * tun|tap PORT COUNT PAUSE`. Each connection sends 100 bytes, is silent for PAUSE ms, sends 100 more, and wants all of
 * them back. Prints what each shard has counted.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

const [dist, kind, port, count, pause] = isMainThread ? process.argv.slice(2) : workerData.args
const load = (module) => import(`${dist}/${module}.js`)
const { LiveHost } = await load('cli/device')
const { planShards } = await load('node/shard')
const { AF_INET, SOCK_STREAM } = await load('socket/constants')

const AT_ONCE = 32
const SIZE = 100

const device = { [kind]: 'ng0', ip: ['10.77.0.2/24'], ip6: [], hostIp: ['10.77.0.1/24'], set: [] }

const exchange = async (sys, fd, byte) => {
  await sys.send(fd, new Uint8Array(SIZE).fill(byte))
  const buffer = new Uint8Array(SIZE)
  for (let got = 0; got < SIZE; ) {
    const more = await sys.recv(fd, buffer)
    if (more === 0 || buffer.subarray(0, more).some((each) => each !== (byte & 0xff))) throw new Error('not the same')
    got += more
  }
}

const connectAll = async (live) => {
  const errors = []
  let begun = 0
  const some = async (sys) => {
    while (begun < Number(count)) {
      const byte = begun++
      const fd = sys.socket(AF_INET, SOCK_STREAM)
      try {
        await sys.connect(fd, { address: '10.77.0.1', port: Number(port) })
        await exchange(sys, fd, byte)
        if (Number(pause) > 0) {
          await sys.usleep(Number(pause) * 1000)
          await exchange(sys, fd, byte + 1)
        }
      } catch (error) {
        errors.push(error.message)
      }
      await sys.close(fd)
    }
  }
  const concurrency = Number(pause) > 0 ? Number(count) : AT_ONCE
  await live.host.spawn('clients', (sys) => Promise.all(Array.from({ length: concurrency }, () => some(sys)))).ended
  await new Promise((resolve) => setTimeout(resolve, 300))
  const { ActiveOpens, OutRsts, RetransSegs } = live.host.ip.mib.tcp
  return { opened: ActiveOpens, errors, resets: OutRsts, repeated: RetransSegs, handedOn: live.shardPort.handedOn }
}

if (isMainThread) {
  const plans = planShards(2, [32768, 60999], [])
  const live = new LiveHost(device, 'first', plans[0])
  const { mac } = live.interface
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { plan: plans[1], mac: mac === 0 ? null : mac, args: process.argv.slice(2) },
  })
  const said = () => new Promise((resolve) => worker.once('message', resolve))
  await said()
  worker.postMessage('go')
  const other = said()
  const results = [await connectAll(live), await other]
  worker.postMessage('close')
  await new Promise((resolve) => worker.once('exit', resolve))
  live.close()
  console.log(JSON.stringify(results))
} else {
  const live = new LiveHost(device, 'second', workerData.plan, workerData.mac)
  parentPort.on('message', async (what) => {
    if (what === 'go') parentPort.postMessage(await connectAll(live))
    else {
      live.close()
      parentPort.close()
    }
  })
  parentPort.postMessage('up')
}
