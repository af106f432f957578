/** What the libraries that stand in for Node's modules look like, as far as it is used. */

declare module 'readable-stream' {
  export { Duplex } from 'node:stream'
}

declare module 'process/' {
  const process: { nextTick: <A extends unknown[]>(callback: (...args: A) => void, ...args: A) => void }
  export default process
}
