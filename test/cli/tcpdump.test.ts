import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readCapture } from '../../src/link/pcap.ts'
import { PcapngWriter } from '../../src/link/pcapng.ts'
import { COMMAND } from '../support/command.ts'
import { pcapFile } from '../support/pcap-file.ts'
import { sampleFrame, samplePackets } from '../support/sample-frames.ts'

/** The command `netglass tcpdump` with files, run as a program. */

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'netglass-tcpdump-'))
  const frame = { data: sampleFrame(samplePackets().find(({ name }) => name === 'IPv4 UDP')!) }
  writeFileSync(join(folder, 'one.pcap'), pcapFile(1, [frame]))
  writeFileSync(join(folder, 'many.pcap'), pcapFile(1, new Array(20_000).fill(frame)))
  writeFileSync(join(folder, 'cut.pcap'), pcapFile(1, [frame, frame]).subarray(0, -3))
  writeFileSync(join(folder, 'packed.pcap.gz'), Uint8Array.from([0x1f, 0x8b, 8, 0, 0]))
})
afterAll(() => rmSync(folder, { recursive: true }))

const tcpdump = (...args: string[]): { status: number | null; out: Buffer; err: string } => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, 'tcpdump', ...args], {
    cwd: folder,
    maxBuffer: 2 ** 28,
  })
  return { status, out: stdout, err: stderr.toString() }
}

const READING = 'link-type EN10MB (Ethernet), snapshot length 262144\n'

describe('netglass tcpdump -r', () => {
  it('says in one line what is wrong with a file, and prints what came before', () => {
    const { status, out, err } = tcpdump('-nt', '-r', 'cut.pcap')
    expect(out.toString()).toBe('IP 10.9.0.1.32790 > 10.9.0.2.9: UDP, length 19\n')
    expect(err).toBe(
      `reading from file cut.pcap, ${READING}netglass: cut.pcap: the file ends inside packet 2, at byte 101\n`,
    )
    expect(status).toBe(1)
    expect(tcpdump('-r', 'packed.pcap.gz').err).toBe(
      'netglass: packed.pcap.gz: not a capture file of pcap or pcapng: it is compressed: gunzip it first\n',
    )
    expect(tcpdump('-r', 'none.pcap').err).toBe('netglass: none.pcap: no such file or directory\n')
  })

  it('does not write over the file that it reads', () => {
    const before = readFileSync(join(folder, 'one.pcap'))
    const { status, err } = tcpdump('-r', 'one.pcap', '-w', './one.pcap')
    expect(err.split('\n')[1]).toBe('netglass: ./one.pcap: is the file that is read: give -w another')
    expect(status).toBe(1)
    expect(readFileSync(join(folder, 'one.pcap')).equals(before)).toBe(true)
  })

  it('writes what it selects with all that was known of it', () => {
    const chunks: Uint8Array[] = []
    const writer = new PcapngWriter((chunk) => chunks.push(chunk), { epoch: 0 })
    writer.addInterface({ name: 'tun7', linkType: 276, description: 'any', snaplen: 500 })
    const packet = { data: new Uint8Array(40), originalLength: 60, timeNs: 1_790_000_000_123_456_789n }
    writer.copy(0, { ...packet, direction: 'out', comment: 'a\nb' })
    writer.copy(0, { ...packet, direction: null, comment: null })
    writer.flush()
    const all = Buffer.concat(chunks)
    writeFileSync(join(folder, 'ours.pcapng'), all)
    expect(tcpdump('-r', 'ours.pcapng', '-w', 'copy.pcapng').status).toBe(0)
    const { interfaces, packets } = readCapture(readFileSync(join(folder, 'copy.pcapng')))
    expect({ interfaces, packets }).toEqual({
      interfaces: readCapture(all).interfaces,
      packets: readCapture(all).packets,
    })
    // A file that none of the packets came into is one all the same.
    tcpdump('-r', 'ours.pcapng', '-w', 'none.pcapng', 'greater 1000')
    expect(readCapture(readFileSync(join(folder, 'none.pcapng')))).toMatchObject({
      error: null,
      packets: [],
      interfaces: [{ name: 'tun7' }],
    })
  })

  it('waits for a pipe that is full', async () => {
    const child = spawn(process.execPath, [COMMAND, 'tcpdump', '-r', 'many.pcap', '-w', '-'], { cwd: folder })
    await once(child.stderr, 'data')
    // The pipe fills up meanwhile.
    await new Promise((resolve) => setTimeout(resolve, 200))
    const chunks: Buffer[] = []
    for await (const chunk of child.stdout) chunks.push(chunk)
    const { error, packets } = readCapture(Buffer.concat(chunks))
    expect({ error, packets: packets.length }).toEqual({ error: null, packets: 20_000 })
  })

  it('ends quietly when nobody reads any more, and in one line when a disk is full', async () => {
    for (const args of [['-n'], ['-w', '-']]) {
      const child = spawn(process.execPath, [COMMAND, 'tcpdump', '-r', 'many.pcap', ...args], { cwd: folder })
      let err = ''
      child.stderr.on('data', (text) => {
        err += text
      })
      child.stdout.once('data', () => child.stdout.destroy())
      const [status] = await once(child, 'close')
      expect([status, err]).toEqual([0, `reading from file many.pcap, ${READING}`])
    }
    const { status, err } = tcpdump('-r', 'one.pcap', '-w', '/dev/full')
    expect(err).toBe(`reading from file one.pcap, ${READING}netglass: /dev/full: no space left on device\n`)
    expect(status).toBe(1)
  })

  it('reads a pipe as it comes, and keeps what it has when a signal comes', async () => {
    const child = spawn(process.execPath, [COMMAND, 'tcpdump', '-nt', '-r', '-', '-w', 'kept.pcapng', '--print'], {
      cwd: folder,
    })
    child.stdin.write(readFileSync(join(folder, 'one.pcap')))
    const [line] = await once(child.stdout, 'data')
    expect(String(line)).toBe('IP 10.9.0.1.32790 > 10.9.0.2.9: UDP, length 19\n')
    child.kill('SIGINT')
    expect(await once(child, 'close')).toEqual([0, null])
    expect(readCapture(readFileSync(join(folder, 'kept.pcapng')))).toMatchObject({ error: null, packets: [{}] })
  })
})
