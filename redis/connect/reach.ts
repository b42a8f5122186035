/**
 * The addresses to which a process may connect for a tenant. The operator connects to servers that tenants name. Without a limit, a tenant
 * could direct it to its own pod, to the node's services and to the cloud's metadata. Names are judged as written, and addresses as the
 * socket gets them (guardedconnector.ts): a name may resolve differently between two lookups.
 *
 * It is plain data and part of an address' identity: only equal addresses share a connection.
 */
import { failure, type StreamPipelineError } from '../../api/errors.ts'
import { embeddedAddress, isAddress, networks } from './networkaddress.ts'

export interface Reach {
  /** Whether this host, its link, and the metadata services of clouds may be reached. */
  readonly local: boolean
  /** Names, `*.` and the end of names, or addresses. Undefined: all. */
  readonly hosts?: readonly string[] | undefined
  /** Networks as `address/bits`. Undefined: all. */
  readonly networks?: readonly string[] | undefined
}

/** Networks that hold no tenant's Redis: this host, this link, multicast and broadcast, and the metadata services of clouds. */
export const localNetworks: readonly string[] = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '100.100.100.200/32',
  '168.63.129.16/32',
  '192.0.0.192/32',
  '::/128',
  '::1/128',
  'fe80::/10',
  'ff00::/8',
  'fd00:ec2::254/128',
]

const isLocal = networks(localNetworks)
const compiled = new WeakMap<readonly string[], (address: string) => boolean>()

function within(list: readonly string[], address: string): boolean {
  let known = compiled.get(list)
  if (known === undefined) {
    known = networks(list)
    compiled.set(list, known)
  }
  return known(address)
}

/** Names are case-insensitive, and a last dot means only that no search list applies. */
function canonicalHost(host: string): string {
  return host.toLowerCase().replace(/\.$/, '')
}

/** @param pattern a name, `*.` and the end of names, or an address */
function matchesHost(pattern: string, host: string): boolean {
  return pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) && host.length >= pattern.length : host === pattern
}

const isLocalName = (host: string) => host === 'localhost' || host.endsWith('.localhost')

const refused = (host: string, detail: string) => failure('RedisAddressRefused', { host, detail })

const localDetail = 'it is an address of this host or its link, or of a metadata service'

/** Why no connection to this name may begin. Undefined: it may, and its address is judged next. */
export function nameRefusal({ local, hosts, networks: allowed }: Reach, host: string): StreamPipelineError | undefined {
  const name = canonicalHost(host)
  if (isAddress(name)) return addressRefusal({ local, hosts, networks: allowed }, host, name)
  if (!local && isLocalName(name)) return refused(host, localDetail)
  if (hosts === undefined || hosts.some((pattern) => matchesHost(pattern, name))) return undefined
  return refused(host, `its name is none of those allowed: ${hosts.join(', ') || 'none'}`)
}

/**
 * Why no connection to this address may be made. Undefined: it may.
 * @param host the name of the server; the address itself where it has no name
 */
export function addressRefusal(reach: Reach, host: string, address: string): StreamPipelineError | undefined {
  const embedded = embeddedAddress(address)
  const forms = embedded === undefined ? [address] : [address, embedded]
  if (!reach.local && forms.some(isLocal)) return refused(host, localDetail)
  const { networks: allowed, hosts } = reach
  // The embedded address decides: a translated form must not evade the allowed networks.
  const target = embedded ?? address
  if (allowed !== undefined)
    return within(allowed, target)
      ? undefined
      : refused(host, `its address lies in none of the networks allowed: ${allowed.join(', ') || 'none'}`)
  // No allowed name led to this address: a resource names it, or a Sentinel or a cluster node announced it.
  if (hosts === undefined || !isAddress(canonicalHost(host)) || hosts.includes(canonicalHost(host))) return undefined
  return refused(host, `it is an address, and only these are allowed: ${hosts.join(', ') || 'none'}`)
}
