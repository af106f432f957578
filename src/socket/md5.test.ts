import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { hex, toHex } from '../../test/support/hex.ts'
import { Md5 } from '../core/md5.ts'
import type { Sys } from '../host/calls.ts'
import { codeOf, NOTHING, Pair } from '../sim/testing.ts'
import { md5Digest } from '../tcp/md5.ts'
import { ip } from '../wire/address.ts'
import * as C from './constants.ts'

const PORT = 179
const key = (text: string): Uint8Array => new TextEncoder().encode(text)

const setKey = (sys: Sys, fd: number, address: string, text: string): number =>
  sys.setsockopt(fd, C.SOL_TCP, C.TCP_MD5SIG, { tcpm_addr: { address }, tcpm_key: key(text) })

/** Two hosts that each sign with a key, or not; what connect(2) gave and what the server received. */
const exchange = async (p: Pair, clientKey: string, serverKey: string): Promise<unknown> => {
  let received = ''
  p.b.spawn('server', async (sys) => {
    const listener = sys.socket(C.AF_INET, C.SOCK_STREAM)
    if (serverKey !== '') setKey(sys, listener, '10.0.0.1', serverKey)
    sys.bind(listener, { address: '0.0.0.0', port: PORT })
    sys.listen(listener, 5)
    const fd = await sys.accept(listener)
    const buffer = new Uint8Array(100_000)
    for (let n = await sys.recv(fd, buffer); n > 0; n = await sys.recv(fd, buffer)) {
      received += new TextDecoder().decode(buffer.subarray(0, n))
    }
    await sys.close(fd)
    await sys.close(listener)
  })
  const connected = await p.alone(async (sys) => {
    const fd = sys.socket(C.AF_INET, C.SOCK_STREAM)
    if (clientKey !== '') setKey(sys, fd, '10.0.0.2', clientKey)
    sys.setsockopt(fd, C.SOL_TCP, C.TCP_SYNCNT, 2)
    const result = await codeOf(() => sys.connect(fd, { address: '10.0.0.2', port: PORT }))
    if (result === 0) await sys.send(fd, 'hello'.repeat(10_000))
    await sys.close(fd)
    return result
  })
  await p.network.run(130_000)
  return [connected, received.length]
}

describe('MD5 signatures (RFC 2385)', () => {
  it('the digest is that of the document (section 2.0)', () => {
    const u8 = new Uint8Array(200)
    // Ports, numbers, offset 10 words, flags, window, a checksum that
    // does not count, urgent; 20 bytes of options; data.
    const header = hex('00b3c001 00000001 00000002 a0181000 ffff0000')
    const options = hex('01011312 00000000000000000000000000000000')
    const data = key('data')
    u8.set([...header, ...options, ...data], 100)
    const into = new Uint8Array(16)
    md5Digest(new Md5(), u8, 100, 144, ip('10.0.0.1'), ip('10.0.0.2'), key('secret'), into, 0)
    const plain = hex('00b3c001 00000001 00000002 a0181000 00000000')
    const signed4 = [...hex('0a000001 0a000002 0006 002c'), ...plain, ...data, ...key('secret')]
    expect(toHex(into)).toBe(createHash('md5').update(Uint8Array.from(signed4)).digest('hex'))
    md5Digest(new Md5(), u8, 100, 144, ip('2001:db8::1'), ip('2001:db8::2'), key('secret'), into, 0)
    const addresses = hex('20010db8000000000000000000000001 20010db8000000000000000000000002')
    const signed6 = [...addresses, ...hex('0000002c 00000006'), ...plain, ...data, ...key('secret')]
    expect(toHex(into)).toBe(createHash('md5').update(Uint8Array.from(signed6)).digest('hex'))
  })

  it('two hosts with the same key', async () => {
    const p = new Pair()
    expect(await exchange(p, 'secret', 'secret')).toEqual([0, 50_000])
    expect(p.close()).toEqual(NOTHING)
  })

  it.each([
    ['another key', 'secret', 'other', 'TCPMD5Failure'],
    ['no signature', '', 'other', 'TCPMD5NotFound'],
    ['a signature that nobody asked for', 'secret', '', 'TCPMD5Unexpected'],
  ] as const)('%s: dropped without a word', async (_, clientKey, serverKey, counter) => {
    const p = new Pair()
    expect(await exchange(p, clientKey, serverKey)).toEqual(['ETIMEDOUT', 0])
    expect(p.b.ip.mib.tcpExt[counter]).toBe(3)
    expect(p.b.ip.mib.tcp.OutRsts).toBe(0)
  })

  it('keys for prefixes; errors as on Linux', async () => {
    const p = new Pair()
    await p.alone(async (sys) => {
      const fd = sys.socket(C.AF_INET, C.SOCK_STREAM)
      const set = (name: number, address: string, tcpm_key: Uint8Array, tcpm_prefixlen?: number) =>
        codeOf(() =>
          sys.setsockopt(fd, C.SOL_TCP, name, {
            tcpm_addr: { address },
            tcpm_key,
            ...(tcpm_prefixlen === undefined ? {} : { tcpm_prefixlen, tcpm_flags: C.TCP_MD5SIG_FLAG_PREFIX }),
          }),
        )
      expect(await set(C.TCP_MD5SIG, '10.0.0.2', key(''))).toBe('ENOENT')
      expect(await set(C.TCP_MD5SIG, '10.0.0.2', new Uint8Array(81))).toBe('EINVAL')
      expect(await set(C.TCP_MD5SIG_EXT, '10.0.0.0', key('x'), 33)).toBe('EINVAL')
      expect(await set(C.TCP_MD5SIG_EXT, '10.0.0.0', key('x'), 8)).toBe(0)
      expect(await set(C.TCP_MD5SIG, '10.0.0.2', key('y'))).toBe(0)
      expect(await set(C.TCP_MD5SIG, '10.0.0.2', key(''))).toBe(0)
      expect(await set(C.TCP_MD5SIG_EXT, '10.0.0.0', key(''), 8)).toBe(0)
    })
  })
})
