/**
 * The proxy that the environment names for a server, as Go's net/http reads it, and so kubectl. HTTPS_PROXY is for `https://` servers, HTTP_PROXY
 * for others. The upper-case name comes first, and an empty one does not count. NO_PROXY lists exceptions, separated by commas:
 *
 * - `*`: every server
 * - `10.0.0.0/8`: each address of that range. A name is not looked up for it.
 * - `10.0.0.1`, `[fd00::1]:6443`: that address, at any port or at that one
 * - `example.com`, `example.com:6443`: that name, and the names below it
 * - `.example.com`, `*.example.com`: the names below it alone
 *
 * A server on loopback is reached without a proxy. https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
 */
import { BlockList, isIP } from 'node:net'
import { failure } from '../../api/errors.ts'

type Environment = Readonly<Record<string, string | undefined>>

interface Target {
  /** In lower case; an IPv6 address without brackets. */
  readonly host: string
  readonly port: string
}

const family = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 6 ? 'ipv6' : 'ipv4')

export const bare = (host: string): string => host.replace(/^\[(.*)\]$/, '$1')

const schemes: readonly string[] = ['http:', 'https:', 'socks5:', 'socks5h:']

/**
 * @param server URL of the API server
 * @returns undefined: it is reached without a proxy
 * @throws InvalidOption for a proxy of another kind. The message has no part of the value, which may hold a password.
 */
export function proxyOf(server: string, env: Environment): string | undefined {
  const name = server.startsWith('https:') ? 'HTTPS_PROXY' : 'HTTP_PROXY'
  const value = variable(env, name)
  if (value === undefined || isExcepted(targetOf(server), variable(env, 'NO_PROXY') ?? '')) return undefined
  const url = URL.parse(value.includes('://') ? value : `http://${value}`)
  if (url === null || !schemes.includes(url.protocol))
    throw failure('InvalidOption', { option: name, detail: 'it is neither http://, https:// nor socks5://' })
  return url.href
}

function variable(env: Environment, name: string): string | undefined {
  return [env[name], env[name.toLowerCase()]].find((value) => value !== undefined && value !== '')
}

function targetOf(server: string): Target {
  const { hostname, port, protocol } = new URL(server)
  return { host: bare(hostname.toLowerCase()), port: port === '' ? (protocol === 'https:' ? '443' : '80') : port }
}

function isExcepted({ host, port }: Target, list: string): boolean {
  if (host === 'localhost' || isLoopback(host)) return true
  const entries = list
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== '')
  return entries.some((entry) => covers(entry, { host, port }))
}

function isLoopback(host: string): boolean {
  return isIP(host) !== 0 && (inRange(host, '127.0.0.0', 8) || inRange(host, '::1', 128))
}

function inRange(address: string, network: string, bits: number): boolean {
  const range = new BlockList()
  range.addSubnet(network, bits, family(network))
  return range.check(address, family(address))
}

function covers(entry: string, target: Target): boolean {
  if (entry === '*') return true
  const [network = '', bits = '', ...more] = entry.split('/')
  const length = /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN
  if (isIP(network) !== 0 && more.length === 0 && length <= (isIP(network) === 6 ? 128 : 32))
    return isIP(target.host) !== 0 && inRange(target.host, network, length)
  const { host, port } = placeOf(entry)
  if (host === '' || (port !== undefined && port !== target.port)) return false
  if (isIP(host) !== 0) return isIP(target.host) !== 0 && inRange(target.host, host, isIP(host) === 6 ? 128 : 32)
  const below = host.startsWith('*.') ? host.slice(1) : host
  return below.startsWith('.') ? target.host.endsWith(below) : target.host === below || target.host.endsWith(`.${below}`)
}

/** An IPv6 address has a port only behind brackets. */
function placeOf(entry: string): { readonly host: string; readonly port: string | undefined } {
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*)):([^:]*)$/.exec(entry) ?? []
  const host = bracketed ?? plain
  return host === undefined ? { host: bare(entry), port: undefined } : { host, port: port === '' ? undefined : port }
}
