import { ip } from '../../src/wire/address.ts'

/** Puts a packet together, byte by byte; numbers are cut to their width. */
export class Bytes {
  private buffer = new Uint8Array(256)
  private length = 0

  private room(count: number): void {
    if (this.length + count <= this.buffer.length) return
    const larger = new Uint8Array(Math.max(this.buffer.length * 2, this.length + count))
    larger.set(this.buffer)
    this.buffer = larger
  }

  u8(value: number): this {
    this.room(1)
    this.buffer[this.length++] = value
    return this
  }

  u16(value: number): this {
    return this.u8(value >>> 8).u8(value)
  }

  u32(value: number): this {
    return this.u16(value >>> 16).u16(value)
  }

  mac(value: number): this {
    return this.u16(Math.floor(value / 0x1_0000_0000)).u32(value >>> 0)
  }

  ipv4(text: string): this {
    return this.u32(ip(text).w3)
  }

  ipv6(text: string): this {
    const { w0, w1, w2, w3 } = ip(text)
    return this.u32(w0).u32(w1).u32(w2).u32(w3)
  }

  bytes(given: Uint8Array): this {
    this.room(given.length)
    this.buffer.set(given, this.length)
    this.length += given.length
    return this
  }

  hex(text: string): this {
    for (let i = 0; i + 1 < text.length; i += 2) this.u8(Number.parseInt(text.slice(i, i + 2), 16))
    return this
  }

  fill(count: number, value: number): this {
    this.room(count)
    this.buffer.fill(value, this.length, this.length + count)
    this.length += count
    return this
  }

  done(): Uint8Array {
    return this.buffer.slice(0, this.length)
  }
}
