import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Snapshot } from '../inspect/snapshot.ts'
import { Network } from '../sim/network.ts'
import { openControl, stackName } from './attach.ts'
import { ControlClient } from './control-client.ts'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'netglass-attach-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

it('lets others look into any host, and set what can be set', async () => {
  const network = new Network({ seed: 1 })
  const host = network.host('db')
  const control = await openControl(host, { name: 'db', directory })
  const client = await ControlClient.connect('db', directory)
  const taken = (await client.call('snapshot')) as Snapshot
  expect([taken.version, taken.host, taken.interfaces.map(({ name }) => name)]).toEqual([1, 'db', ['lo']])
  expect(await client.call('sysctl', { name: 'net.ipv4.tcp_sack', value: '0' })).toBe('0')
  expect(host.sysctl.get('net.ipv4.tcp_sack')).toBe('0')
  await expect(client.call('capture', { interface: 'eth9' })).rejects.toThrow('eth9: No such device exists')
  client.close()
  await expect(openControl(host, { name: 'db', directory })).rejects.toThrow('a stack named db is running already')
  await control.close()
  network.close()
})

it('makes names of texts', () => {
  expect(['my app', '.hidden', 'a/b', 'x'.repeat(70), '', '-'].map(stackName)).toEqual([
    'my_app',
    'hidden',
    'a_b',
    'x'.repeat(64),
    'stack',
    'stack',
  ])
})
