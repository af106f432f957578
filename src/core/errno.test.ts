import { constants } from 'node:os'
import { expect, test } from 'vitest'
import { Errno, type ErrnoCode, errnoCode, SystemError, strerror } from './errno.ts'

test('numbers are those of Linux', () => {
  expect(Errno.EAGAIN).toBe(11)
  expect(Errno.EADDRINUSE).toBe(98)
  expect(Errno.ECONNREFUSED).toBe(111)
  expect(Errno.EINPROGRESS).toBe(115)
  // EUSERS, EPFNOSUPPORT and their like are unknown to Node; the others can be compared where Node runs on Linux.
  const known = constants.errno as Record<string, number>
  if (process.platform !== 'linux') return
  const compared = Object.entries(Errno).filter(([code]) => code in known)
  expect(compared.length).toBeGreaterThan(50)
  for (const [code, errno] of compared) expect(errno, code).toBe(known[code])
})

test('codes and messages are found by number', () => {
  for (const [code, errno] of Object.entries(Errno)) expect(errnoCode(errno)).toBe(code)
  expect(new Set(Object.values(Errno)).size).toBe(Object.keys(Errno).length)
  expect(errnoCode(0)).toBeUndefined()
  expect(strerror(Errno.EPIPE)).toBe('Broken pipe')
  expect(strerror(4095)).toBe('Unknown error 4095')
})

test('the exception is that of Node', () => {
  const error = new SystemError('ECONNREFUSED', 'connect', { address: '10.0.0.1', port: 80 })
  expect(error).toBeInstanceOf(Error)
  expect({ ...error }).toEqual({
    name: 'SystemError',
    code: 'ECONNREFUSED',
    errno: -111,
    syscall: 'connect',
    address: '10.0.0.1',
    port: 80,
  })
  expect(error.message).toBe('ECONNREFUSED: Connection refused, connect 10.0.0.1:80')
  const plain = new SystemError('EBADF' satisfies ErrnoCode, 'close')
  expect(plain.message).toBe('EBADF: Bad file descriptor, close')
  expect('address' in plain || 'port' in plain).toBe(false)
  expect(new SystemError('EACCES', 'bind', { address: '::1' }).message).toBe('EACCES: Permission denied, bind ::1')
})
