import { Errno, SystemError } from '../core/errno.ts'
import type { Sys } from '../host/calls.ts'
import { exchange, followAliases } from '../host/resolver-query.ts'
import { DnsCode, type DnsRecord, dnsQuery, isDnsName } from '../wire/dns.ts'
import type { DnsServer } from './dns-servers.ts'

/** Whom to ask, and how long. */
export interface QueryPlan {
  readonly servers: readonly DnsServer[]
  /**
   * Milliseconds that the first round takes at most for each server;
   * the next ones take twice as long as the one before.
   */
  readonly timeout: number
  /** Rounds. */
  readonly tries: number
  readonly localAddress: { readonly ipv4: string | null; readonly ipv6: string | null }
}

/** Codes of answers, in c-ares' words. */
const CODES = new Map<number, string>([
  [DnsCode.FormErr, 'EFORMERR'],
  [DnsCode.ServFail, 'ESERVFAIL'],
  [DnsCode.NxDomain, 'ENOTFOUND'],
  [DnsCode.NotImp, 'ENOTIMP'],
  [DnsCode.Refused, 'EREFUSED'],
])

/** Another server may know better. */
const TRANSIENT: ReadonlySet<string> = new Set(['ESERVFAIL', 'ENOTIMP', 'EREFUSED', 'ECONNREFUSED', 'ETIMEOUT'])

/** Is it a name of which no name server is to hear (RFC 7686 section 2)? */
export const isOnion = (name: string): boolean => /(^|\.)onion\.?$/i.test(name)

/** Asks as c-ares does. @returns the records, or the code of what went wrong */
export const resolveQuery = async (
  sys: Sys,
  plan: QueryPlan,
  name: string,
  type: number,
): Promise<readonly DnsRecord[] | string> => {
  const asked = name.endsWith('.') ? name.slice(0, -1) : name
  if (!isDnsName(asked)) return 'EBADNAME'
  if (isOnion(asked)) return 'ENOTFOUND'
  if (plan.servers.length === 0) return 'ECONNREFUSED'
  let failure = 'ETIMEOUT'
  for (let round = 0; round < plan.tries; round++) {
    for (const server of plan.servers) {
      const answer = await askOnce(sys, plan, server, asked, type, plan.timeout * 2 ** round)
      if (typeof answer !== 'string' || !TRANSIENT.has(answer)) return answer
      failure = answer
    }
  }
  return failure
}

const askOnce = async (
  sys: Sys,
  { localAddress }: QueryPlan,
  server: DnsServer,
  name: string,
  type: number,
  timeout: number,
): Promise<readonly DnsRecord[] | string> => {
  const from = server.address.includes(':') ? localAddress.ipv6 : localAddress.ipv4
  try {
    const query = dnsQuery(sys.process.host.random.below(0x1_0000), name, type)
    const response = await exchange(sys, server, query, timeout / 1000, from)
    if (response === null) return 'ETIMEOUT'
    if (response.code !== DnsCode.NoError) return CODES.get(response.code) ?? 'EBADRESP'
    const { records } = followAliases(response.answers, name, type)
    return records.length > 0 ? records : 'ENODATA'
  } catch (error) {
    if (error instanceof SystemError && error.errno !== -Errno.EMFILE) return 'ECONNREFUSED'
    throw error
  }
}
