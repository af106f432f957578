import type { Host } from '../../src/host/host.ts'
import type { OpenFile } from '../../src/socket/open-file.ts'
import { UnixSocket } from '../../src/socket/unix.ts'

/** What is wrong with what a host counts of descriptors, open files and messages of Unix domain sockets. */
export function* descriptorProblems(host: Host): Generator<string> {
  const references = new Map<OpenFile, number>()
  const count = (file: OpenFile): void => {
    references.set(file, (references.get(file) ?? 0) + 1)
  }
  for (const { files, pid, isAlive } of host.processes.values()) {
    const numbers = [...files.numbers()]
    if (numbers.length !== files.size) yield `process ${pid} counts ${files.size} descriptors and has ${numbers.length}`
    if (!isAlive && numbers.length > 0) yield `process ${pid} has ended with ${numbers.length} descriptors`
    for (const fd of numbers) count(files.get(fd)!)
  }
  const charged = new Map<UnixSocket, number>()
  const inFlight = new Map<UnixSocket, number>()
  for (const socket of host.sockets.sockets) {
    if (!(socket instanceof UnixSocket)) continue
    let bytes = 0
    for (const { sender, charge, left, files } of socket.inbox.messages) {
      bytes += left
      charged.set(sender, (charged.get(sender) ?? 0) + charge)
      for (const file of files ?? []) {
        count(file)
        if (file instanceof UnixSocket) inFlight.set(file, (inFlight.get(file) ?? 0) + 1)
      }
    }
    if (bytes !== socket.inbox.bytes)
      yield `socket ${socket.inode} has ${socket.inbox.bytes} bytes in messages of ${bytes}`
  }
  for (const socket of host.sockets.sockets) {
    if (!(socket instanceof UnixSocket)) continue
    const { inode } = socket
    if (socket.charged !== (charged.get(socket) ?? 0)) yield `socket ${inode} is charged ${socket.charged}`
    if (socket.inFlight !== (inFlight.get(socket) ?? 0)) yield `socket ${inode} counts ${socket.inFlight} in flight`
    if (socket.isClosed) yield `socket ${inode} is closed and still listed`
  }
  for (const [file, found] of references) {
    // Calls that wait have references, too.
    if (file.references < found) yield `a file counts ${file.references} references, and ${found} were found`
  }
}
