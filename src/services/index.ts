/** The small services and their clients, as `netglass/services`. */
export { type DnsServerOptions, dnsServer, type ZoneRecord } from './dns.ts'
export { type FileReader, type FileStore, type FileWriter, MemoryFiles } from './files.ts'
export { type HttpLogEntry, httpServer } from './http.ts'
export { type HttpResponse, httpGet } from './http-client.ts'
export { type ConnectionHandler, listenOn, threadedServer } from './serve.ts'
export { chargen, daytime, discard, echo, SMALL_SERVICES, smallServer, time } from './small.ts'
