import type net from 'node:net'

type SetTimeout = net.Socket['setTimeout']

/** Where sockets keep their timer, which every byte that moves begins anew. */
const timerKey = (socket: net.Socket): symbol | undefined =>
  Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'timeout')

interface TimedSocket {
  [key: symbol]: NodeJS.Timeout | null | undefined
  _onTimeout(): void
  timeout?: number
}

/** `socket.setTimeout` with a timer that can be virtual; Node's own has one that cannot. */
export const socketTimeout = (native: SetTimeout): SetTimeout =>
  function (this: net.Socket, delay, callback) {
    const socket = this as net.Socket & TimedSocket
    const key = timerKey(socket)
    // What is wrong with the arguments is Node's to say.
    const isPlain = Number.isFinite(delay) && delay >= 0 && (callback === undefined || typeof callback === 'function')
    if (key === undefined || !isPlain || socket.destroyed) return native.call(socket, delay, callback)
    // Stops the one before, and keeps the callback.
    native.call(socket, 0, callback)
    const before = socket[key]
    if (before !== null && before !== undefined) clearTimeout(before)
    socket[key] = null
    socket.timeout = delay
    if (delay === 0) return socket
    if (callback !== undefined) socket.once('timeout', callback)
    socket[key] = setTimeout(() => {
      if (!socket.destroyed) socket._onTimeout()
    }, delay).unref()
    return socket
  }
