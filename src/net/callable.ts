type Constructor<A extends unknown[], T> = new (...args: A) => T
/** A class of the old way, with what it has of its parent. */
export type OldClass<A extends unknown[], T, P> = Constructor<A, T> & Omit<P, 'prototype'>

/**
 * A class in the old way, as Node's are: it may be called without `new`, and on an object that a constructor of the old
 * way is making. Several may share one prototype: what one makes is an instance of the others, too.
 * @param parent whose functions the class has, too
 * @param setUp does what a constructor does
 */
export const callable = <A extends unknown[], T extends object, P extends object>(
  name: string,
  prototype: T,
  parent: P,
  setUp: (self: T, args: A) => void,
): OldClass<A, T, P> => {
  // So that it has its name in stack traces, too.
  const named = {
    [name]: function (this: T | undefined, ...args: A): T | undefined {
      if (new.target === undefined && !isInstance(prototype, this)) return new Class(...args)
      setUp(this as T, args)
      return undefined
    },
  }
  const Class: OldClass<A, T, P> = asClass(named[name]!, prototype, parent)
  return Class
}

/** Makes a class of what a constructor of the old way does. */
export const asClass = <A extends unknown[], T extends object, P extends object>(
  body: (this: T, ...args: A) => unknown,
  prototype: T,
  parent: P,
): OldClass<A, T, P> => {
  const Class = body as unknown as OldClass<A, T, P>
  Object.setPrototypeOf(Class, parent)
  Object.defineProperty(Class, 'prototype', { value: prototype, writable: false })
  if (!Object.hasOwn(prototype, 'constructor')) {
    Object.defineProperty(prototype, 'constructor', { value: Class, writable: true, configurable: true })
  }
  return Class
}

/** Has `value` the prototype? */
export const isInstance = (prototype: object, value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.prototype.isPrototypeOf.call(prototype, value)

/**
 * A prototype with the methods of `shape`, a class without constructor and fields, on top of that of `parent`. They are
 * enumerable, as those of Node's classes of the old way: whoever wraps all of an object's methods finds them so.
 */
export const prototypeOf = <T extends object>(shape: { readonly prototype: T }, parent: { prototype: object }): T => {
  const { constructor: _constructor, ...methods } = Object.getOwnPropertyDescriptors(shape.prototype) as Record<
    string,
    PropertyDescriptor
  >
  for (const descriptor of Object.values(methods)) descriptor.enumerable = true
  return Object.create(parent.prototype, methods) as T
}
