import { parseTcpOptionList, type TcpOption } from '../wire/tcp-options.ts'
import type { TcpOptionSpec } from './script.ts'

/** TCP options between what the wire has and what scripts write. */

/** The options in `bytes`, a TCP header's from byte 20 on. */
export const readOptions = (bytes: Uint8Array): TcpOptionSpec[] => parseTcpOptionList(bytes).flatMap(toSpec)

const spec = (name: TcpOptionSpec['name'], values: readonly number[] = [], blob: Uint8Array | null = null) => [
  { name, values, blob },
]

const toSpec = (option: TcpOption): TcpOptionSpec[] => {
  switch (option.name) {
    case 'nop':
      return spec('nop')
    case 'eol':
      return Array.from({ length: 1 + option.padding.length }, () => spec('eol')[0]!)
    case 'mss':
      return spec('mss', [option.value])
    case 'wscale':
      return spec('wscale', [option.shift])
    case 'sackOk':
      return spec('sackOK')
    case 'sack':
      return spec('sack', option.blocks.flat())
    case 'timestamp':
      return spec('TS', [option.value, option.echo])
    case 'md5':
      return spec('md5', [], option.digest)
    case 'fastOpen':
      return spec(option.experimental ? 'FOEXP' : 'FO', [], option.cookie)
    case 'userTimeout':
      return spec('unknown', [28])
    case 'ao':
      return spec('unknown', [29], option.mac)
    case 'mptcp':
      return spec('unknown', [30], option.data)
    case 'unknown':
      return spec('unknown', [option.kind], option.data)
    case 'malformed':
      return spec('unknown', [-1], option.data)
  }
}

/** The option for the wire. */
export const toWire = ({ name, values, blob }: TcpOptionSpec): TcpOption => {
  const [first = 0, second = 0] = values
  switch (name) {
    case 'nop':
      return { name }
    case 'mss':
      return { name, value: first }
    case 'wscale':
      return { name, shift: first }
    case 'sackOK':
      return { name: 'sackOk' }
    case 'sack': {
      const blocks: [number, number][] = []
      for (let i = 0; i < values.length; i += 2) blocks.push([values[i]!, values[i + 1]!])
      return { name, blocks }
    }
    case 'TS':
      return { name: 'timestamp', value: first, echo: second }
    case 'md5':
      return { name, digest: blob ?? new Uint8Array(16) }
    case 'FO':
    case 'FOEXP':
      return { name: 'fastOpen', experimental: name === 'FOEXP', cookie: blob ?? new Uint8Array(0) }
    case 'unknown':
      return { name, kind: first, data: blob ?? new Uint8Array(0) }
    case 'eol':
      return { name, padding: new Uint8Array(0) }
  }
}
