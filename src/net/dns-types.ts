import type { CodedError } from './errors.ts'

export interface LookupAddress {
  address: string
  family: number
}

export interface LookupOptions {
  family?: number | 'IPv4' | 'IPv6'
  hints?: number
  all?: boolean
  order?: 'verbatim' | 'ipv4first' | 'ipv6first'
  verbatim?: boolean
}

export type LookupCallback = (error: CodedError | null, address?: string | LookupAddress[], family?: number) => void

export type LookupFunction = (name: string, options: LookupOptions, callback: LookupCallback) => void
