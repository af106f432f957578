import { readdirSync, statSync, unlinkSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import { ControlError, controlDirectory, controlPath, HELLO, type StackInfo } from './control-socket.ts'
import { LineSplitter } from './line-splitter.ts'

/** The longest answer, bytes. */
const MAX_ANSWER = 0x1000_0000
/** How long a stack may take to say who it is, ms. */
const HELLO_MS = 1000
/** Items of a stream that wait for whoever iterates, before the socket is not read on. */
const MAX_ITEMS = 256

/** What waits for an answer. */
interface Waiter {
  result(value: unknown): void
  item(value: unknown): void
  end(): void
  fail(error: Error): void
}

/** A conversation with a running stack. */
export class ControlClient {
  /** The stack's name. */
  readonly name: string
  private readonly socket: Socket
  private readonly lines = new LineSplitter(MAX_ANSWER)
  private readonly waiters = new Map<number, Waiter>()
  private ids = 0
  private failure: ControlError | null = null
  private held = 0

  private constructor(name: string, socket: Socket) {
    this.name = name
    this.socket = socket
    socket.on('data', (chunk: Buffer) => this.take(chunk))
    socket.on('error', () => {})
    socket.on('close', () => this.fail(new ControlError('ECONNRESET', `the stack ${name} has ended the conversation`)))
  }

  /**
   * Connects to stack `name`, or to the only one that is running.
   * @throws ControlError with one line that says what to do: ENOENT when there is none, EINVAL when there are several
   */
  static async connect(name?: string, directory = controlDirectory()): Promise<ControlClient> {
    const chosen = name ?? (await onlyStack(directory))
    const path = controlPath(directory, chosen)
    try {
      return await ControlClient.at(path, chosen)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'ENOENT' && code !== 'ECONNREFUSED') {
        throw new ControlError(code ?? 'EIO', `cannot reach the stack ${chosen} at ${path}: ${code}`)
      }
      const running = (await listStacks(directory)).map((stack) => stack.name)
      throw new ControlError('ENOENT', `no stack named ${chosen} is running: ${namesOf(running)}`)
    }
  }

  /** Connects to the socket at `path`. @throws Error with the code of connect(2) */
  static async at(path: string, name = ''): Promise<ControlClient> {
    return new ControlClient(name, await open(path))
  }

  /** Asks for something. @throws ControlError what the stack answers, or that it is gone */
  call(method: string, params?: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.send(method, params, {
        result: resolve,
        item: () => {},
        end: () => resolve(null),
        fail: reject,
      })
    })
  }

  /** Asks for a stream. Leaving the loop early cancels it. @throws ControlError as `call`, while iterating */
  async *stream(method: string, params?: unknown): AsyncGenerator<unknown, void, void> {
    const items: unknown[] = []
    let done = false
    let error: Error | null = null
    let wake: () => void = () => {}
    const id = this.send(method, params, {
      result: (value) => {
        items.push(value)
        done = true
        wake()
      },
      item: (value) => {
        items.push(value)
        if (items.length === MAX_ITEMS) this.hold(1)
        wake()
      },
      end: () => {
        done = true
        wake()
      },
      fail: (reason) => {
        error = reason
        wake()
      },
    })
    try {
      for (;;) {
        while (items.length > 0) {
          if (items.length === MAX_ITEMS) this.hold(-1)
          yield items.shift()
        }
        if (error !== null) throw error
        if (done) return
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    } finally {
      if (items.length >= MAX_ITEMS) this.hold(-1)
      if (!done && error === null) this.cancel(id)
    }
  }

  /** Ends the conversation; what is still waiting fails. */
  close(): void {
    this.socket.destroy()
    this.fail(new ControlError('ECANCELED', `the conversation with the stack ${this.name} was closed`))
  }

  private send(method: string, params: unknown, waiter: Waiter): number {
    const id = ++this.ids
    if (this.failure !== null) waiter.fail(this.failure)
    else {
      this.waiters.set(id, waiter)
      this.socket.write(`${JSON.stringify({ id, method, params })}\n`)
    }
    return id
  }

  private cancel(id: number): void {
    this.waiters.delete(id)
    if (this.socket.writable) this.socket.write(`${JSON.stringify({ id, cancel: true })}\n`)
  }

  private take(chunk: Buffer): void {
    const lines = this.lines.push(chunk)
    if (lines === null) {
      this.fail(new ControlError('EMSGSIZE', `the stack ${this.name} gave an answer of over ${MAX_ANSWER} bytes`))
      this.socket.destroy()
      return
    }
    for (const line of lines) if (line !== '') this.answer(line)
  }

  private answer(line: string): void {
    const message = parseAnswer(line)
    if (message === undefined) {
      this.fail(new ControlError('EPROTO', `the stack ${this.name} gave an answer that is none`))
      this.socket.destroy()
      return
    }
    const { id, item, result, end, error } = message
    if (id === null && error !== undefined) {
      this.fail(controlError(error))
      return
    }
    const waiter = this.waiters.get(id as number)
    if (waiter === undefined) return
    if (item !== undefined) {
      waiter.item(item)
      return
    }
    this.waiters.delete(id as number)
    if (error !== undefined) waiter.fail(controlError(error))
    else if (end === true) waiter.end()
    else waiter.result(result)
  }

  /** Stops reading while any stream has too much waiting. */
  private hold(by: 1 | -1): void {
    this.held += by
    if (this.held > 0) this.socket.pause()
    else this.socket.resume()
  }

  private fail(error: ControlError): void {
    if (this.failure !== null) return
    this.failure = error
    for (const waiter of this.waiters.values()) waiter.fail(error)
    this.waiters.clear()
  }
}

/**
 * The stacks of this user that are running, by name. Sockets that stacks left behind are removed; a stack that does
 * not say who it is within a second is left out.
 */
export const listStacks = async (directory = controlDirectory()): Promise<StackInfo[]> => {
  const stacks = await Promise.all(
    namesIn(directory).map(async (file) => {
      const path = join(directory, file)
      const inode = statSync(path, { throwIfNoEntry: false })?.ino
      const info = await askHello(path)
      if (info === null) removeStale(path, inode)
      return info === null || info === 'silent' ? [] : [info]
    }),
  )
  return stacks.flat().sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Who listens at `path`: null when nobody does, 'silent' when somebody does but does not say. */
export const askHello = async (path: string): Promise<StackInfo | 'silent' | null> => {
  let client: ControlClient
  try {
    client = await ControlClient.at(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code === 'ECONNREFUSED' || code === 'ENOENT' ? null : 'silent'
  }
  const timer = setTimeout(() => client.close(), HELLO_MS)
  try {
    return (await client.call(HELLO)) as StackInfo
  } catch {
    return 'silent'
  } finally {
    clearTimeout(timer)
    client.close()
  }
}

const open = (path: string): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = createConnection(path)
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.removeListener('error', reject)
      resolve(socket)
    })
  })

const namesIn = (directory: string): string[] => {
  try {
    return readdirSync(directory).filter((file) => file.endsWith('.sock') && !file.startsWith('.'))
  } catch {
    return []
  }
}

/** Removes a socket at which nobody listens, unless it is not the one that was looked at. */
const removeStale = (path: string, inode: number | undefined): void => {
  try {
    if (statSync(path).ino === inode) unlinkSync(path)
  } catch {
    // Somebody else has removed it.
  }
}

const onlyStack = async (directory: string): Promise<string> => {
  const names = (await listStacks(directory)).map((stack) => stack.name)
  if (names.length === 1) return names[0]!
  if (names.length === 0) throw new ControlError('ENOENT', `no stack is running: ${namesOf(names)}`)
  throw new ControlError('EINVAL', `several stacks are running, say which with --stack: ${names.join(', ')}`)
}

const namesOf = (names: readonly string[]): string =>
  names.length === 0
    ? "start one with 'netglass up' or 'netglass run', and use sudo here if you do there"
    : `running are ${names.join(', ')}`

const parseAnswer = (line: string): Record<string, unknown> | undefined => {
  try {
    const message: unknown = JSON.parse(line)
    return typeof message === 'object' && message !== null ? (message as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

const controlError = (error: unknown): ControlError => {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
  return new ControlError(String(code ?? 'EIO'), String(message ?? 'the stack reports an error'))
}
