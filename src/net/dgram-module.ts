import { callable } from './callable.ts'
import { type DgramSocket, setUpDgram } from './dgram-socket.ts'
import type { Surroundings } from './platform.ts'

type Listener = (...args: never[]) => void

/** The module `dgram` of a program. @param prototype what sockets of all programs share */
export const dgramModule = (surroundings: Surroundings, prototype: DgramSocket) => {
  const { EventEmitter } = surroundings.platform
  const channel = surroundings.platform.channel('udp.socket')
  const Socket = callable<[type: unknown, listener?: Listener], DgramSocket, typeof EventEmitter>(
    'Socket',
    prototype,
    EventEmitter,
    (self, [type, listener]) => {
      ;(EventEmitter as unknown as () => void).call(self)
      setUpDgram(self, surroundings, type, listener)
      if (channel.hasSubscribers) channel.publish({ socket: self })
    },
  )
  return {
    // With or without `new`.
    createSocket: function createSocket(type: unknown, listener?: Listener): DgramSocket {
      return new Socket(type, listener)
    },
    Socket,
  }
}
