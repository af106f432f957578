import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Errno } from '../../core/errno.ts'
import { EventQueue } from '../../net/events.ts'
import type { StreamOwner } from '../../net/stream-handle.ts'
import { UV_EOF } from '../../net/uv.ts'
import type { Socket } from '../../socket/socket.ts'
import { Answers, type CallMessage, type EventMessage } from './protocol.ts'
import { HostLink, RemoteStream } from './remote.ts'

/** A worker's stream, and in place of the thread that has the host whoever writes the test. */

/** Writes down what it is told. */
class Owner implements StreamOwner {
  readonly log: string[] = []
  onRead(count: number, data: Uint8Array | null): void {
    this.log.push(`read ${count} ${data === null ? 'in place' : Buffer.from(data)}`)
  }
  newBuffer = (bytes: number): Uint8Array => new Uint8Array(bytes)
  onConnect = (status: number): void => void this.log.push(`connect ${status}`)
  onConnection = (status: number): void => void this.log.push(`connection ${status}`)
  onWritten = (request: unknown, status: number): void => void this.log.push(`written ${request} ${status}`)
  onShutdown = (request: unknown, status: number): void => void this.log.push(`shutdown ${request} ${status}`)
  onClosed = (): void => void this.log.push('closed')
}

let host: MessagePort
let calls: string[]
let link: HostLink
let events: EventQueue
let owner: Owner

/** Lets what was posted arrive, what that schedules be done, and the answers arrive: a turn of the event loop each. */
const turn = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
}

beforeEach(() => {
  const { port1, port2 } = new MessageChannel()
  host = port1
  calls = []
  host.on('message', ({ target, method, args }: CallMessage) => calls.push([target, method, ...args].join(' ')))
  link = new HostLink(port2, new Answers())
  events = new EventQueue({ schedule: setImmediate, afterCallback: () => {}, activeChanged: () => {} })
  owner = new Owner()
})

afterEach(() => host.close())

const tell = async (event: EventMessage['event'], ...args: readonly unknown[]): Promise<void> => {
  host.postMessage({ target: 2, event, args } satisfies EventMessage)
  await turn()
}

const accepted = (): RemoteStream => {
  const stream = new RemoteStream(link, events, owner)
  stream.adopt({ id: 2 } as unknown as Socket)
  return stream
}

describe('shutdown', () => {
  test('is done once', async () => {
    const stream = accepted()
    expect(stream.shutdown('one')).toBe(0)
    expect(stream.shutdown('two')).toBe(-Errno.ENOTCONN)
    await tell('shutdown', 0, 0)
    expect(stream.shutdown('three')).toBe(-Errno.ENOTCONN)
    await turn()
    expect([owner.log, calls]).toEqual([['shutdown one 0'], ['2 shutdown 0']])
  })

  test('one that is under way forbids a reset, but not closing', async () => {
    const stream = accepted()
    stream.shutdown('it')
    expect(stream.reset()).toBe(-Errno.EINVAL)
    expect(stream.isClosing).toBe(false)
    await tell('shutdown', 0, 0)
    expect(stream.reset()).toBe(0)
    expect(stream.reset()).toBe(0)
    stream.close()
    await tell('closed')
    expect([owner.log, calls]).toEqual([
      ['shutdown it 0', 'closed'],
      ['2 shutdown 0', '2 reset'],
    ])
    expect(events.activeHandles).toBe(0)
  })
})

test('a reset of what nobody knows of closes it', async () => {
  const stream = new RemoteStream(link, events, owner)
  expect(stream.reset()).toBe(0)
  await turn()
  expect([owner.log, calls]).toEqual([['closed'], []])
  expect(events.activeHandles).toBe(0)
})

test('reads go into a buffer that was given, in as many parts as it takes', async () => {
  const stream = accepted()
  const into = Buffer.alloc(4, '-')
  stream.useBuffer(into)
  const parts: string[] = []
  owner.onRead = (count) => {
    parts.push(count > 0 ? `${into.subarray(0, count)}` : `end ${count === UV_EOF}`)
  }
  stream.readStart()
  await tell('read', 10, new Uint8Array(Buffer.from('abcdefghij')).buffer)
  await tell('read', UV_EOF, null)
  expect(parts).toEqual(['abcd', 'efgh', 'ij', 'end true'])
  expect(stream.bytesRead).toBe(10)
  expect(calls).toEqual(['2 readStart', '2 taken 4', '2 taken 4', '2 taken 2'])
})

test('without one they come in memory of their own', async () => {
  const stream = accepted()
  stream.readStart()
  await tell('read', 3, new Uint8Array(Buffer.from('abc')).buffer)
  expect(owner.log).toEqual(['read 3 abc'])
  expect(calls).toEqual(['2 readStart', '2 taken 3'])
})
