/** What the libraries that stand in for Node's modules look like, as far as it is used. */

declare module 'readable-stream' {
  export const Duplex: import('../net/platform.ts').Platform['Duplex']
}

declare module 'process/' {
  const process: { nextTick: <A extends unknown[]>(callback: (...args: A) => void, ...args: A) => void }
  export default process
}
