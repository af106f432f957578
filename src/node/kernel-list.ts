import { type IpAddress, type IpPrefix, networkOf, parseIpAddress, parseIpPrefix } from '../wire/address.ts'

interface Entry {
  /** The addresses that are meant; null for all, or for a name. */
  readonly prefix: IpPrefix | null
  readonly name: string | null
  /** 0 for any. */
  readonly port: number
}

/** What a program reaches through the kernel's stack and not through ours: addresses, names and ports. */
export class KernelList {
  /** As they were given. */
  readonly items: readonly string[]
  private readonly entries: Entry[]

  /**
   * @param items `10.0.0.0/8`, `127.0.0.1:5432`, `[::1]:80`, `:5432`, `db.example:5432`, `*`
   * @throws TypeError for one that is nothing of that
   */
  constructor(items: readonly string[] = []) {
    this.items = [...items]
    this.entries = items.map(parseEntry)
  }

  hasEndpoint(address: string, port: number): boolean {
    if (this.entries.length === 0) return false
    const parsed = parseIpAddress(address)
    return this.entries.some(
      (entry) =>
        entry.name === null &&
        (entry.port === 0 || entry.port === port) &&
        (entry.prefix === null || (parsed !== undefined && covers(entry.prefix, parsed))),
    )
  }

  /** Is it a name whose addresses the kernel's resolver is to find? */
  hasName(name: string): boolean {
    return this.entries.some((entry) => entry.name === name.toLowerCase())
  }

  /** Notes what a name of the list stands for: its addresses are in the list from now on. */
  learn(name: string, addresses: readonly string[]): void {
    for (const { port } of this.entries.filter((entry) => entry.name === name.toLowerCase())) {
      for (const address of addresses) {
        if (!this.hasEndpoint(address, port))
          this.entries.push({ prefix: parseIpPrefix(address) ?? null, name: null, port })
      }
    }
  }
}

const covers = ({ address, length }: IpPrefix, other: IpAddress): boolean =>
  address.isIpv4 === other.isIpv4 && networkOf(other, length).equals(networkOf(address, length))

const parseEntry = (item: string): Entry => {
  const [, text = '', port = '0'] = /^(\[[^\]]*\]|[^:]*|[^:]*:.*:.*?)(?::([0-9]+))?$/.exec(item) ?? []
  const number = Number(port)
  if ((text === '' && number === 0) || number > 65_535) {
    throw new TypeError(`${item}: give an address, a network or a name, with or without a port, like 127.0.0.1:5432`)
  }
  if (text === '*' || text === '') return { prefix: null, name: null, port: number }
  const prefix = parseIpPrefix(text.replace(/^\[|\]$/g, ''))
  if (prefix !== undefined) return { prefix, name: null, port: number }
  if (!/^[a-z0-9._-]+$/i.test(text)) throw new TypeError(`${item}: ${text} is neither an address nor a name`)
  return { prefix: null, name: text.toLowerCase(), port: number }
}
