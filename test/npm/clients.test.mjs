/**
 * Clients and servers from npm, unmodified, on two hosts: each does a job over a clean link, and again with 2 % loss
 * and 50 ms. `npm run build && cd test/npm && npm ci && npm test`
 */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import http2 from 'node:http2'
import net from 'node:net'
import grpc from '@grpc/grpc-js'
import { Aedes } from 'aedes'
import express from 'express'
import fastify from 'fastify'
import Redis from 'ioredis'
import mqtt from 'mqtt'
import mysql from 'mysql2'
import nodemailer from 'nodemailer'
import { SMTPServer } from 'smtp-server'
import ssh2 from 'ssh2'
import { Pool, request } from 'undici'
import { WebSocket, WebSocketServer } from 'ws'
import { listening, testOnLinks } from './support.mjs'

/** Name, and what is done: on the server's host, then on the client's. */
const jobs = {
  async ws(server, client) {
    const wss = await server(async () => {
      const made = new WebSocketServer({ port: 80 })
      made.on('connection', (socket) => socket.on('message', (data) => socket.send(String(data).toUpperCase())))
      await listening(made)
      return made
    })
    await client(async () => {
      const socket = new WebSocket('ws://server/')
      await once(socket, 'open')
      for (let i = 0; i < 20; i++) {
        socket.send(`message ${i}`)
        const [data] = await once(socket, 'message')
        assert.equal(String(data), `MESSAGE ${i}`)
      }
      socket.close()
      await once(socket, 'close')
    })
    wss.close()
  },

  async 'express and undici'(server, client) {
    const app = express()
    app.use(express.json({ limit: '1mb' }))
    app.post('/sum', (req, res) => res.json({ sum: req.body.numbers.reduce((a, b) => a + b, 0) }))
    const listener = await server(async () => {
      const made = app.listen(3000)
      await listening(made)
      return made
    })
    await client(async () => {
      const pool = new Pool('http://server:3000', { connections: 4 })
      const numbers = Array.from({ length: 20_000 }, (_, i) => i)
      const answers = await Promise.all(
        Array.from({ length: 8 }, async () => {
          const body = JSON.stringify({ numbers })
          const headers = { 'content-type': 'application/json' }
          const { statusCode, body: answer } = await pool.request({ path: '/sum', method: 'POST', headers, body })
          assert.equal(statusCode, 200)
          return answer.json()
        }),
      )
      assert.deepEqual(new Set(answers.map(({ sum }) => sum)), new Set([199_990_000]))
      await pool.close()
    })
    listener.close()
  },

  async fastify(server, client) {
    const app = fastify()
    app.get('/large', async () => 'x'.repeat(300_000))
    await server(() => app.listen({ port: 8080, host: '0.0.0.0' }))
    await client(async () => {
      const { statusCode, body } = await request('http://server:8080/large')
      assert.equal(statusCode, 200)
      assert.equal((await body.text()).length, 300_000)
    })
    await server(() => app.close())
  },

  async 'http2, 20 streams'(server, client) {
    const listener = await server(async () => {
      const made = http2.createServer()
      made.on('stream', (stream, headers) => {
        stream.respond({ ':status': 200 })
        stream.end(headers[':path'].repeat(1000))
      })
      made.listen(80)
      await listening(made)
      return made
    })
    await client(async () => {
      const session = http2.connect('http://server')
      const lengths = await Promise.all(
        Array.from({ length: 20 }, async (_, i) => {
          const stream = session.request({ ':path': `/${i}` })
          let length = 0
          for await (const chunk of stream) length += chunk.length
          return length
        }),
      )
      assert.equal(
        lengths.reduce((a, b) => a + b),
        50_000,
      )
      session.close()
      await once(session, 'close')
    })
    listener.close()
  },

  async 'ioredis, a server of 20 lines'(server, client) {
    const data = new Map()
    const reply = ([name, key, value]) => {
      switch (name.toUpperCase()) {
        case 'SET':
          data.set(key, value)
          return '+OK\r\n'
        case 'GET':
          return data.has(key) ? `$${data.get(key).length}\r\n${data.get(key)}\r\n` : '$-1\r\n'
        case 'INFO':
          return '$17\r\nredis_version:7.0\r\n'
        default:
          return '+OK\r\n'
      }
    }
    const listener = await server(async () => {
      const made = net.createServer((socket) => {
        let text = ''
        socket.on('data', (chunk) => {
          text += chunk
          for (;;) {
            const count = Number(/^\*(\d+)\r\n/.exec(text)?.[1] ?? 0)
            const command = new RegExp(`^\\*\\d+\\r\\n((?:\\$\\d+\\r\\n[^\\r]*\\r\\n){${count}})`).exec(text)
            if (count === 0 || command === null) break
            text = text.slice(command[0].length)
            socket.write(reply([...command[1].matchAll(/\$\d+\r\n([^\r]*)\r\n/g)].map(([, word]) => word)))
          }
        })
        socket.on('error', () => {})
      })
      made.listen(6379)
      await listening(made)
      return made
    })
    await client(async () => {
      const redis = new Redis({ host: 'server' })
      for (let i = 0; i < 50; i++) await redis.set(`key ${i}`, i * i)
      const values = await Promise.all(Array.from({ length: 50 }, (_, i) => redis.get(`key ${i}`)))
      assert.deepEqual(
        values,
        Array.from({ length: 50 }, (_, i) => String(i * i)),
      )
      await redis.quit()
      redis.disconnect()
    })
    listener.close()
  },

  async 'mysql2, client and server'(server, client) {
    const listener = await server(async () => {
      const made = mysql.createServer()
      made.on('connection', (connection) => {
        connection.serverHandshake({
          protocolVersion: 10,
          serverVersion: '8.0.0',
          connectionId: 1,
          statusFlags: 2,
          characterSet: 8,
          capabilityFlags: 0xffffff & ~0x800,
          authCallback: (_, done) => {
            done(null)
            connection.sequenceId = 0
          },
        })
        connection.on('query', (sql) => {
          connection.writeTextResult(
            [{ sql }],
            [
              {
                name: 'sql',
                characterSet: 33,
                columnType: 253,
                flags: 0,
                decimals: 0,
                columnLength: 300,
                schema: '',
                table: '',
                orgTable: '',
                orgName: 'sql',
                catalog: 'def',
              },
            ],
          )
          // Each question counts its packets anew.
          connection.sequenceId = 0
        })
        connection.on('error', () => {})
      })
      made.listen(3306)
      await listening(made._server)
      return made
    })
    await client(async () => {
      const connection = mysql.createConnection({ host: 'server', user: 'u', password: '' }).promise()
      for (let i = 0; i < 10; i++) {
        const [rows] = await connection.query(`SELECT ${i}`)
        assert.deepEqual(
          rows.map(({ sql }) => sql),
          [`SELECT ${i}`],
        )
      }
      connection.destroy()
    })
    listener.close()
  },

  async 'mqtt with aedes'(server, client) {
    const broker = await server(() => Aedes.createBroker())
    const listener = await server(async () => {
      const made = net.createServer(broker.handle)
      made.listen(1883)
      await listening(made)
      return made
    })
    await client(async () => {
      const connection = await mqtt.connectAsync('mqtt://server')
      await connection.subscribeAsync('numbers/#', { qos: 1 })
      const seen = []
      const all = new Promise((resolve) => {
        connection.on('message', (topic) => {
          seen.push(topic)
          if (seen.length === 20) resolve()
        })
      })
      for (let i = 0; i < 20; i++) await connection.publishAsync(`numbers/${i}`, String(i), { qos: 1 })
      await all
      assert.equal(new Set(seen).size, 20)
      await connection.endAsync()
    })
    await server(() => new Promise((resolve) => broker.close(resolve)))
    listener.close()
  },

  async 'nodemailer with smtp-server'(server, client) {
    const mails = []
    const smtp = new SMTPServer({
      authOptional: true,
      disabledCommands: ['STARTTLS'],
      onData(stream, _, done) {
        const parts = []
        stream.on('data', (chunk) => parts.push(chunk))
        stream.on('end', () => {
          mails.push(Buffer.concat(parts).toString())
          done()
        })
      },
    })
    await server(async () => {
      smtp.listen(25)
      await listening(smtp.server)
    })
    await client(async () => {
      const transport = nodemailer.createTransport({ host: 'server', port: 25, ignoreTLS: true })
      await transport.sendMail({ from: 'a@client', to: 'b@server', subject: 'news', text: 'line\n'.repeat(5000) })
      transport.close()
    })
    assert.match(mails[0], /^Subject: news\r$/m)
    assert.equal(mails[0].match(/^line\r$/gm).length, 5000)
    await server(() => new Promise((resolve) => smtp.close(resolve)))
  },

  async 'ssh2, client and server'(server, client) {
    const { privateKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
      publicKeyEncoding: { type: 'pkcs1', format: 'pem' },
    })
    const listener = await server(async () => {
      const made = new ssh2.Server({ hostKeys: [privateKey] }, (connection) => {
        connection.on('authentication', (context) => context.accept())
        connection.on('session', (accept) => {
          accept().on('exec', (acceptExec, _, { command }) => {
            const stream = acceptExec()
            stream.write(command.toUpperCase())
            stream.exit(0)
            stream.end()
          })
        })
        connection.on('error', () => {})
      })
      made.listen(22)
      await listening(made._srv)
      return made
    })
    await client(async () => {
      const connection = new ssh2.Client()
      connection.connect({ host: 'server', username: 'u', password: 'p' })
      await once(connection, 'ready')
      const output = await new Promise((resolve, reject) => {
        connection.exec('uname -a', (error, stream) => {
          if (error) return reject(error)
          let text = ''
          stream.on('data', (chunk) => {
            text += chunk
          })
          stream.on('close', () => resolve(text))
        })
      })
      assert.equal(output, 'UNAME -A')
      connection.end()
      await once(connection, 'close')
    })
    listener.close()
  },

  async 'grpc-js'(server, client) {
    const plain = (value) => Buffer.from(JSON.stringify(value))
    const parse = (buffer) => JSON.parse(buffer.toString())
    const definition = {
      double: {
        path: '/numbers/double',
        requestStream: false,
        responseStream: false,
        requestSerialize: plain,
        requestDeserialize: parse,
        responseSerialize: plain,
        responseDeserialize: parse,
      },
    }
    const rpc = await server(async () => {
      const made = new grpc.Server()
      made.addService(definition, { double: (call, done) => done(null, { value: call.request.value * 2 }) })
      await new Promise((resolve, reject) => {
        made.bindAsync('0.0.0.0:50051', grpc.ServerCredentials.createInsecure(), (error) =>
          error ? reject(error) : resolve(),
        )
      })
      return made
    })
    await client(async () => {
      const Stub = grpc.makeGenericClientConstructor(definition, 'numbers')
      const stub = new Stub('10.0.0.2:50051', grpc.credentials.createInsecure())
      const answers = await Promise.all(
        Array.from(
          { length: 10 },
          (_, value) =>
            new Promise((resolve, reject) => {
              stub.double({ value }, (error, answer) => (error ? reject(error) : resolve(answer.value)))
            }),
        ),
      )
      assert.deepEqual(answers, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18])
      stub.close()
    })
    rpc.forceShutdown()
  },
}

testOnLinks(jobs)
