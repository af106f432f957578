import { setFlagsFromString } from 'node:v8'

/**
 * Lets V8 put more of the functions that a segment passes through into one another when it compiles them: with its own
 * limits even the shortest are calls of their own where much comes together (docs/PERFORMANCE.md,
 * "Inlining"). And lets it make objects of derived classes without asking each time which of
 * their constructors do nothing. It holds for the whole process, and for what has not been
 * compiled yet: a program that wants it calls this first. `netglass bench` and `netglass up` do.
 */
export const tuneV8 = (): void => {
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=5000')
  setFlagsFromString('--max-inlined-bytecode-size-small=100')
  setFlagsFromString('--no-omit-default-ctors')
}

/**
 * Has V8 compile a function when it has run an eighth as often as it would ask for. What comes to a device comes rarely
 * and finds cold caches, where what has been interpreted a thousand times takes several times as long as compiled code
 * does (docs/PERFORMANCE.md, "A device, and the kernel"). It holds for the whole process.
 */
export const compileEarly = (): void => {
  setFlagsFromString('--interrupt-budget=8000')
}
