/** The small services and their clients, as `netglass/services`. */
export { type DnsServerOptions, dnsServer, type ZoneRecord } from './dns.ts'
export { type FileReader, type FileStore, type FileWriter, MemoryFiles } from './files.ts'
export { type HttpLogEntry, httpServer } from './http.ts'
export { type HttpResponse, httpGet } from './http-client.ts'
export {
  type Iperf3ClientOptions,
  type Iperf3Outcome,
  type Iperf3ServerOptions,
  iperf3Client,
  iperf3Server,
} from './iperf3.ts'
export { type Hop, type PingOptions, type PingReply, ping, traceroute } from './probe.ts'
export { type ConnectionHandler, listenOn, threadedServer } from './serve.ts'
export { chargen, daytime, discard, echo, SMALL_SERVICES, smallServer, time } from './small.ts'
export {
  chargenClient,
  daytimeClient,
  discardClient,
  echoClient,
  type Transport,
  timeClient,
  whoClient,
} from './small-clients.ts'
export { type DatagramHandler, datagramServer, type Login, smallDatagramServer, whoServer } from './small-udp.ts'
