// Holds that no modules import each other in a circle. Looked at in the compiled code, where types are gone: that a type
// is named in a circle is no harm.
module.exports = {
  forbidden: [{ name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } }],
  options: { doNotFollow: { path: 'node_modules' } },
}
