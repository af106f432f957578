import { calls } from './calls.ts'
import type { Kind } from './case.ts'
import { files } from './files.ts'
import { frames } from './frames.ts'
import { segments } from './segments.ts'

/** Every kind of inputs, by name, and what share of a run over all kinds it gets. */
export const KINDS: Readonly<Record<string, { readonly kind: Kind; readonly share: number }>> = {
  segments: { kind: segments as unknown as Kind, share: 0.4 },
  frames: { kind: frames as unknown as Kind, share: 0.45 },
  calls: { kind: calls as unknown as Kind, share: 0.1 },
  files: { kind: files as unknown as Kind, share: 0.05 },
}

/** The kind of this name. @throws Error when there is none */
export const kindNamed = (name: string): Kind => {
  const found = KINDS[name]
  if (found === undefined) throw new Error(`${name} is no kind of inputs: ${Object.keys(KINDS).join(', ')}`)
  return found.kind
}
