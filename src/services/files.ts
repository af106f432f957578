/** Files for services to serve: what a store of them can do, and one in memory. */

/**
 * What the server serves: the platform's file system, or something in memory. Paths begin with `/` and hold no `..`.
 */
export interface FileStore {
  /** A file's size in bytes; 'directory'; or null when there is nothing. */
  stat(path: string): Promise<number | 'directory' | null>
  /** The names in a directory. */
  list(path: string): Promise<string[]>
  open(path: string): Promise<FileReader>
  /** Begins a new file. @throws when that cannot be done */
  create(path: string): Promise<FileWriter>
}

/** A file that is being read. */
export interface FileReader {
  /** Fills `buffer` from `position` on. @returns bytes read, 0 at the end */
  read(buffer: Uint8Array, position: number): Promise<number>
  close(): Promise<void>
}

/** A file that is being written. */
export interface FileWriter {
  write(bytes: Uint8Array): Promise<void>
  /** The file is complete. */
  close(): Promise<void>
  /** It will never be: nothing of it stays. */
  abandon(): Promise<void>
}

/** Files in memory, by path. */
export class MemoryFiles implements FileStore {
  private readonly files = new Map<string, Uint8Array>()

  constructor(files: Readonly<Record<string, string | Uint8Array>> = {}) {
    for (const [path, content] of Object.entries(files)) {
      this.files.set(path, typeof content === 'string' ? new TextEncoder().encode(content) : content)
    }
  }

  /** A file's bytes. */
  get(path: string): Uint8Array | undefined {
    return this.files.get(path)
  }

  async stat(path: string): Promise<number | 'directory' | null> {
    const file = this.files.get(path)
    if (file !== undefined) return file.length
    const prefix = path === '/' ? '/' : `${path}/`
    return [...this.files.keys()].some((name) => name.startsWith(prefix)) ? 'directory' : null
  }

  async list(path: string): Promise<string[]> {
    const prefix = path === '/' ? '/' : `${path}/`
    const names = [...this.files.keys()].filter((name) => name.startsWith(prefix))
    return [...new Set(names.map((name) => name.slice(prefix.length).split('/', 1)[0]!))]
  }

  async open(path: string): Promise<FileReader> {
    const file = this.files.get(path)!
    return {
      async read(buffer, position) {
        const part = file.subarray(position, position + buffer.length)
        buffer.set(part)
        return part.length
      },
      async close() {},
    }
  }

  async create(path: string): Promise<FileWriter> {
    const { files } = this
    const parts: Uint8Array[] = []
    return {
      async write(bytes) {
        parts.push(bytes.slice())
      },
      async close() {
        const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
        let at = 0
        for (const part of parts) {
          whole.set(part, at)
          at += part.length
        }
        files.set(path, whole)
      },
      async abandon() {},
    }
  }
}
