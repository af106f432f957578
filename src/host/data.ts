/** Bytes, or text that stands for its UTF-8. */
export type Data = Uint8Array | string

/** The bytes that are meant. */
export const bytesOf = (data: Data): Uint8Array => (typeof data === 'string' ? new TextEncoder().encode(data) : data)
