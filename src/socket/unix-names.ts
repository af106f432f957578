import { Errno } from '../core/errno.ts'
import type { Sockaddr } from './address.ts'
import * as C from './constants.ts'
import type { UnixSocket } from './unix.ts'

/** Bytes of sun_path. */
const PATH_MAX = 108
/** Permissions of a new entry: 0777 without the usual umask of 022. */
const NEW_MODE = 0o755
/** Names in the abstract space that are chosen for sockets: five hexadecimal digits. */
const CHOSEN = 0x10_0000

/** An entry of the file system that a socket was bound to. It stays when the socket is closed. */
interface PathEntry {
  socket: UnixSocket | null
  readonly uid: number
  mode: number
}

/**
 * The names of a host's Unix domain sockets: paths and the abstract space (unix(7)). Of a file system there is no more
 * than this: every directory is there, and nothing but sockets is in it.
 */
export class UnixNames {
  private readonly paths = new Map<string, PathEntry>()
  /** By type, too: sockets of different types may have one abstract name. */
  private readonly abstract = new Map<string, UnixSocket>()

  /** Gives a socket a path. @returns 0 or -EADDRINUSE, -ENOTDIR */
  bindPath(socket: UnixSocket, path: string, uid: number): number {
    const place = resolve(path)
    if (this.hasFileAbove(place)) return -Errno.ENOTDIR
    if (place === '/' || this.paths.has(place)) return -Errno.EADDRINUSE
    this.paths.set(place, { socket, uid, mode: NEW_MODE })
    return 0
  }

  /** Gives a socket a name in the abstract space. @returns 0 or -EADDRINUSE */
  bindAbstract(socket: UnixSocket, name: string): number {
    const key = abstractKey(socket.type, name)
    if (this.abstract.has(key)) return -Errno.EADDRINUSE
    this.abstract.set(key, socket)
    return 0
  }

  /** Chooses a free name in the abstract space, from `start` on. @returns it; null when all are taken */
  choose(socket: UnixSocket, start: number): string | null {
    for (let i = 0; i < CHOSEN; i++) {
      const name = `\0${((start + i) % CHOSEN).toString(16).padStart(5, '0')}`
      if (this.bindAbstract(socket, name) === 0) return name
    }
    return null
  }

  /** The socket that has a name. @returns it, or -ENOENT, -ENOTDIR, -EACCES, -ECONNREFUSED, -EPROTOTYPE */
  find(name: string, type: number, uid: number): UnixSocket | number {
    if (name.startsWith('\0')) return this.abstract.get(abstractKey(type, name)) ?? -Errno.ECONNREFUSED
    const place = resolve(name)
    const entry = this.paths.get(place)
    if (entry === undefined) {
      if (this.hasFileAbove(place)) return -Errno.ENOTDIR
      // The root is no socket.
      return place === '/' ? -Errno.ECONNREFUSED : -Errno.ENOENT
    }
    if (!mayWrite(entry, uid)) return -Errno.EACCES
    if (entry.socket === null) return -Errno.ECONNREFUSED
    return entry.socket.type === type ? entry.socket : -Errno.EPROTOTYPE
  }

  /** A socket is closed: its path stays, its abstract name is free. */
  release(socket: UnixSocket, name: string): void {
    if (name.startsWith('\0')) {
      this.abstract.delete(abstractKey(socket.type, name))
      return
    }
    const entry = this.paths.get(resolve(name))
    if (entry?.socket === socket) entry.socket = null
  }

  /**
   * unlink(2), in a directory that everybody may write to, as /tmp is.
   * @returns 0 or -ENOENT, -ENOTDIR, -EISDIR, -EPERM
   */
  unlink(path: string, uid: number): number {
    const place = resolve(path)
    const entry = this.entryAt(place)
    if (typeof entry === 'number') return place === '/' ? -Errno.EISDIR : entry
    if (uid !== 0 && uid !== entry.uid) return -Errno.EPERM
    this.paths.delete(place)
    return 0
  }

  /** chmod(2). @returns 0 or -ENOENT, -ENOTDIR, -EPERM */
  chmod(path: string, mode: number, uid: number): number {
    const entry = this.entryAt(resolve(path))
    if (typeof entry === 'number') return entry
    if (uid !== 0 && uid !== entry.uid) return -Errno.EPERM
    entry.mode = mode & 0o7777
    return 0
  }

  private entryAt(place: string): PathEntry | number {
    return this.paths.get(place) ?? (this.hasFileAbove(place) ? -Errno.ENOTDIR : -Errno.ENOENT)
  }

  /** Is a part of the path that must be a directory none? */
  private hasFileAbove(place: string): boolean {
    for (let at = place.lastIndexOf('/'); at > 0; at = place.lastIndexOf('/', at - 1)) {
      if (this.paths.has(place.slice(0, at))) return true
    }
    return false
  }
}

/**
 * The name in an address that a program gave; '' for none.
 * @returns -EINVAL for what is no address of a Unix domain socket
 */
export const readUnixName = ({ family, address, path }: Sockaddr): string | number => {
  if ((family ?? C.AF_UNIX) !== C.AF_UNIX || (path === undefined && address !== undefined)) return -Errno.EINVAL
  const name = path ?? ''
  if (new TextEncoder().encode(name).length > PATH_MAX) return -Errno.EINVAL
  if (name === '' || name.startsWith('\0')) return name
  const end = name.indexOf('\0')
  return end < 0 ? name : name.slice(0, end)
}

const abstractKey = (type: number, name: string): string => `${type} ${name}`

/** Without empty parts, `.` and `..`; what is relative is so to the root. */
const resolve = (path: string): string => {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}

/** May a user write to it: as its owner, or as somebody else? */
const mayWrite = ({ uid: owner, mode }: PathEntry, uid: number): boolean =>
  uid === 0 || (mode & (uid === owner ? 0o200 : 0o002)) !== 0
