import { randomBytes } from 'node:crypto'
import { unlinkSync } from 'node:fs'
import { type FileHandle, open, readdir, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { FileReader, FileStore, FileWriter } from '../services/files.ts'

/**
 * The files of a directory, for services to serve. Paths are resolved
 * before they come here, and lead out of it only by symbolic links in it.
 */
export class Directory implements FileStore {
  readonly root: string
  /** Paths of files that are being written. */
  private readonly partial = new Set<string>()

  constructor(root: string) {
    this.root = root
  }

  async stat(path: string): Promise<number | 'directory' | null> {
    try {
      const found = await stat(join(this.root, path))
      return found.isDirectory() ? 'directory' : found.isFile() ? found.size : null
    } catch {
      return null
    }
  }

  async list(path: string): Promise<string[]> {
    const entries = await readdir(join(this.root, path), { withFileTypes: true })
    return entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
  }

  async open(path: string): Promise<FileReader> {
    const file = await open(join(this.root, path), 'r')
    return {
      read: async (buffer, position) => (await file.read(buffer, 0, buffer.length, position)).bytesRead,
      close: () => file.close(),
    }
  }

  /** A new file appears under its name when it is complete, in the place of one that was there. */
  async create(path: string): Promise<FileWriter> {
    const target = join(this.root, path)
    const partial = `${target}.${randomBytes(4).toString('hex')}.part`
    const file = await open(partial, 'wx')
    this.partial.add(partial)
    return new PartialFile(file, partial, target, () => this.partial.delete(partial))
  }

  /** Removes what was being written and will not be completed. */
  close(): void {
    for (const path of this.partial) removeFile(path)
    this.partial.clear()
  }
}

class PartialFile implements FileWriter {
  private readonly file: FileHandle
  private readonly partial: string
  private readonly target: string
  private readonly over: () => void

  constructor(file: FileHandle, partial: string, target: string, over: () => void) {
    this.file = file
    this.partial = partial
    this.target = target
    this.over = over
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) at += (await this.file.write(bytes, at)).bytesWritten
  }

  async close(): Promise<void> {
    try {
      await this.file.close()
      await rename(this.partial, this.target)
    } catch (error) {
      removeFile(this.partial)
      throw error
    } finally {
      this.over()
    }
  }

  async abandon(): Promise<void> {
    await this.file.close()
    removeFile(this.partial)
    this.over()
  }
}

const removeFile = (path: string): void => {
  try {
    unlinkSync(path)
  } catch {
    // It is gone already.
  }
}
