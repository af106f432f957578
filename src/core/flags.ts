/** An object with a number whose bits are boolean properties. */
export interface Flagged {
  bits: number
}

/**
 * Makes boolean properties of a class out of the bits of its field `bits`: a field of its own takes eight bytes in each
 * object, which counts where there are a million. To be called from a static block; the class declares the properties.
 * @param first the bit of the first name, from 0 to 29; the others follow
 * @param end the bit that they must leave alone, and all above it
 * @throws RangeError when they do not
 */
export const packFlags = (prototype: Flagged, names: readonly string[], first = 0, end = 30): void => {
  if (first + names.length > end) throw new RangeError(`no room for ${names.at(-1)}: its bit is ${end} or above`)
  names.forEach((name, index) => {
    const mask = 1 << (first + index)
    Object.defineProperty(prototype, name, {
      get(this: Flagged): boolean {
        return (this.bits & mask) !== 0
      },
      set(this: Flagged, value: boolean) {
        if (value) this.bits |= mask
        else this.bits &= ~mask
      },
    })
  })
}
