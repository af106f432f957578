import type { Socket } from './socket.ts'

/**
 * The sockets of a host in the order in which they were made, chained
 * through themselves: entering one allocates nothing.
 */
export class SocketList {
  size = 0
  private first: Socket | null = null
  private last: Socket | null = null

  /** Adds a socket that is in no list. */
  add(socket: Socket): void {
    socket.previousSocket = this.last
    if (this.last === null) this.first = socket
    else this.last.nextSocket = socket
    this.last = socket
    this.size++
  }

  has(socket: Socket): boolean {
    return socket.previousSocket !== null || this.first === socket
  }

  delete(socket: Socket): void {
    if (!this.has(socket)) return
    const { previousSocket: previous, nextSocket: next } = socket
    if (previous === null) this.first = next
    else previous.nextSocket = next
    if (next === null) this.last = previous
    else next.previousSocket = previous
    socket.previousSocket = null
    socket.nextSocket = null
    this.size--
  }

  /** None may be taken out meanwhile. */
  *[Symbol.iterator](): Iterator<Socket> {
    for (let socket = this.first; socket !== null; socket = socket.nextSocket) yield socket
  }
}
