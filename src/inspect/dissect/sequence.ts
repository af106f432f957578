/**
 * Where the sequence numbers of each TCP connection began, so that they can be told from there on, as small numbers.
 * A connection has one entry for both ways; a SYN begins it anew.
 */

interface Origins {
  /** Of the endpoint that sorts first, and of the other. */
  first: number
  second: number
}

export class SequenceTable {
  private readonly connections = new Map<string, Origins>()

  /**
   * Looks up, or begins, the connection that a segment with ACK belongs to.
   * @param source address and port of its sender, as text that tells them apart
   * @param forward does the sender sort first?
   * @returns what to subtract from its sequence number and its acknowledgement number, and from the edges of SACK
   *   blocks; 0 for the first two when the entry is new
   */
  origins(
    source: string,
    destination: string,
    forward: boolean,
    isSyn: boolean,
    seq: number,
    ack: number,
  ): { seq: number; ack: number; sack: number } {
    const key = forward ? `${source} ${destination}` : `${destination} ${source}`
    const known = this.connections.get(key)
    if (known === undefined || isSyn) {
      const [own, other] = [seq, (ack - 1) >>> 0]
      this.connections.set(key, forward ? { first: own, second: other } : { first: other, second: own })
      return { seq: 0, ack: 0, sack: other }
    }
    const [own, other] = forward ? [known.first, known.second] : [known.second, known.first]
    return { seq: own, ack: other, sack: other }
  }
}
