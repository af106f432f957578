'use strict'
// Loaded before a test of Node's: what it requires as net, dgram and dns are this package's modules.
const Module = require('node:module')
const { join } = require('node:path')
const files = new Map([
  ['net', 'net.js'],
  ['dgram', 'dgram.js'],
  ['dns', 'dns.js'],
  ['dns/promises', 'dns-promises.js'],
])
const { _load: load } = Module
Module._load = function (request, ...rest) {
  const file = files.get(request.replace(/^node:/, ''))
  if (file === undefined || !process.argv[1].includes('/test/parallel/')) return load.call(this, request, ...rest)
  return load.call(this, join(__dirname, '../../dist/node', file), ...rest).default
}
