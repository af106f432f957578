/**
 * Clients from npm, unmodified, and the servers that they are made for: Debian's PostgreSQL and Redis, behind a bridge.
 * `npm run build && cd test/npm && npm ci && npm test`, as root, with postgresql and redis-server installed.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Redis from 'ioredis'
import pg from 'pg'
import { testOnLinks } from './support.mjs'

/** Unix sockets of the servers, so that no port is taken. */
const folder = mkdtempSync(join(tmpdir(), 'netglass-servers-'))
const redisPath = join(folder, 'redis.sock')
const postgresPath = join(folder, '.s.PGSQL.5432')
const children = []

const start = async (path, command, args, options) => {
  const child = spawn(command, args, { stdio: 'ignore', ...options })
  children.push(child)
  while (!existsSync(path)) {
    if (child.exitCode !== null) throw new Error(`${command} has ended: ${child.exitCode}`)
    await sleep(20)
  }
}

const startPostgres = async () => {
  const [version] = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a))
  const program = (name) => `/usr/lib/postgresql/${version}/bin/${name}`
  const [uid, gid] = ['-u', '-g'].map((flag) =>
    Number(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout),
  )
  chownSync(folder, uid, gid)
  const options = { uid, gid, cwd: folder }
  const data = join(folder, 'data')
  const made = spawnSync(program('initdb'), ['-D', data, '-A', 'trust', '-N', '-E', 'UTF8', '--locale=C'], options)
  assert.equal(made.status, 0, String(made.stderr))
  const settings = ['listen_addresses=', `unix_socket_directories=${folder}`, 'fsync=off', 'shared_buffers=16MB']
  await start(postgresPath, program('postgres'), ['-D', data, ...settings.flatMap((text) => ['-c', text])], options)
}

before(async () => {
  await Promise.all([
    start(redisPath, 'redis-server', ['--port', '0', '--unixsocket', redisPath, '--save', '', '--dir', folder]),
    startPostgres(),
  ])
})

after(async () => {
  await Promise.all(children.map((child) => child.kill('SIGINT') && once(child, 'exit')))
  rmSync(folder, { recursive: true })
})

testOnLinks({
  async 'pg and PostgreSQL'(_, client, network) {
    await network.bridge('server', 5432, { path: postgresPath })
    await client(async () => {
      const options = { host: 'server', user: 'postgres', database: 'postgres' }
      const pool = new pg.Pool({ ...options, max: 4 })
      await pool.query('DROP TABLE IF EXISTS parts; CREATE TABLE parts (id int PRIMARY KEY, data bytea)')
      const listener = new pg.Client(options)
      await listener.connect()
      await listener.query('LISTEN parts')
      const told = once(listener, 'notification')
      const insert = 'INSERT INTO parts VALUES ($1, $2)'
      await Promise.all(Array.from({ length: 40 }, (_, id) => pool.query(insert, [id, Buffer.alloc(10_000, id)])))
      await assert.rejects(pool.query(insert, [7, null]), { code: '23505' })
      const session = await pool.connect()
      await session.query('BEGIN')
      await session.query('DELETE FROM parts')
      await session.query('ROLLBACK')
      await session.query("NOTIFY parts, 'all are there'")
      session.release()
      const { rows } = await pool.query('SELECT id, data FROM parts ORDER BY id')
      assert.deepEqual(
        rows.map(({ id, data }) => [id, data.length, data[9999]]),
        Array.from({ length: 40 }, (_, id) => [id, 10_000, id]),
      )
      assert.equal((await told)[0].payload, 'all are there')
      await listener.end()
      await pool.end()
    })
  },

  async 'ioredis and Redis'(_, client, network) {
    await network.bridge('server', 6379, { path: redisPath })
    await client(async () => {
      const redis = new Redis({ host: 'server' })
      await redis.flushall()
      const subscriber = new Redis({ host: 'server' })
      await subscriber.subscribe('news')
      const told = once(subscriber, 'message')
      const pipeline = redis.pipeline()
      for (let i = 0; i < 500; i++) pipeline.incrby('sum', i)
      assert.equal((await pipeline.exec()).length, 500)
      assert.equal(await redis.get('sum'), '124750')
      const large = 'value '.repeat(50_000)
      await redis.set('large', large)
      assert.equal(await redis.get('large'), large)
      assert.deepEqual(await redis.multi().set('a', 1).incr('a').exec(), [
        [null, 'OK'],
        [null, 2],
      ])
      await redis.publish('news', 'hello')
      assert.deepEqual(await told, ['news', 'hello'])
      await assert.rejects(redis.incr('large'), /value is not an integer/)
      await Promise.all([redis.quit(), subscriber.quit()])
    })
  },
})
