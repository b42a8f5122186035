/**
 * IP addresses as numbers. One address has many texts: 127.0.0.1 is also ::ffff:127.0.0.1, ::ffff:7f00:1 and 64:ff9b::7f00:1. Forms that
 * only a resolver reads (2130706433, 0x7f.1) count as names here; the resolver turns them into addresses first.
 */
import { BlockList, isIP } from 'node:net'

/** Networks, each as `address/bits`. */
type Networks = (address: string) => boolean

/** Four or sixteen bytes. Undefined: the text is no address. */
function bytesOf(text: string): readonly number[] | undefined {
  const bare = text.replace(/%.*$/, '')
  switch (isIP(bare)) {
    case 4:
      return bare.split('.').map(Number)
    case 6:
      return sixteen(bare)
    default:
      return undefined
  }
}

/** Bytes of a text that `isIP` calls version 6. */
function sixteen(text: string): readonly number[] {
  const [head = '', tail] = text.split('::')
  const left = groupsOf(head)
  const right = tail === undefined ? [] : groupsOf(tail)
  const zeros = new Array<number>(Math.max(0, 16 - left.length - right.length)).fill(0)
  return [...left, ...zeros, ...right]
}

function groupsOf(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number)
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}

/** Prefixes of version 6 whose last four bytes are an address of version 4: mapped, compatible, translated (RFC 6052, 8215). */
const embedding: readonly (readonly number[])[] = [
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0],
  [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0],
  [0, 0x64, 0xff, 0x9b, 0, 1],
]

/** 6to4 (RFC 3056) holds it after the first two bytes. */
const sixToFour: readonly number[] = [0x20, 0x02]

const beginsWith = (bytes: readonly number[], prefix: readonly number[]) => prefix.every((byte, index) => bytes[index] === byte)

/** The address of version 4 that packets to this address of version 6 reach. Undefined: there is none. */
export function embeddedAddress(address: string): string | undefined {
  const bytes = bytesOf(address)
  if (bytes?.length !== 16) return undefined
  if (beginsWith(bytes, sixToFour)) return bytes.slice(2, 6).join('.')
  return embedding.some((prefix) => beginsWith(bytes, prefix)) ? bytes.slice(12).join('.') : undefined
}

export function isAddress(text: string): boolean {
  return bytesOf(text) !== undefined
}

/** Undefined: the text is no network. */
function networkOf(
  text: string,
): { readonly address: string; readonly bits: number; readonly family: 'ipv4' | 'ipv6' } | undefined {
  const [address = '', bits = ''] = text.split('/')
  const version = isIP(address)
  if (version === 0 || !/^[0-9]{1,3}$/.test(bits) || Number(bits) > (version === 4 ? 32 : 128)) return undefined
  return { address, bits: Number(bits), family: version === 4 ? 'ipv4' : 'ipv6' }
}

export const isNetwork = (text: string): boolean => networkOf(text) !== undefined

/** Whether an address as written lies in one of the networks. The caller handles embedded addresses. */
export function networks(list: readonly string[]): Networks {
  const known = new BlockList()
  for (const network of list.map(networkOf))
    if (network !== undefined) known.addSubnet(network.address, network.bits, network.family)
  return (address) => {
    const bare = address.replace(/%.*$/, '')
    const version = isIP(bare)
    return version !== 0 && known.check(bare, version === 4 ? 'ipv4' : 'ipv6')
  }
}
