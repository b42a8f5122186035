/** CEL as in an admission policy, as far as the limits' rules need it. */
import { BlockList, isIP } from 'node:net'
import { Environment } from '@marcbachmann/cel-js'

/**
 * As `net/netip` of Kubernetes: an IPv4 address inside an IPv6 address is none, and a network of one family holds no address of the
 * other.
 */
const isPlainAddress = (text: string): boolean => isIP(text) !== 0 && !text.includes('%') && !/^::ffff:/i.test(text)

class Cidr {
  readonly #list = new BlockList()
  readonly #version: number

  constructor(text: string) {
    const [address = '', bits = ''] = text.split('/')
    this.#version = isIP(address)
    if (this.#version === 0) throw new TypeError(`${text} is no network`)
    this.#list.addSubnet(address, Number(bits), this.#version === 4 ? 'ipv4' : 'ipv6')
  }

  containsIP(address: string): boolean {
    return isIP(address) === this.#version && this.#list.check(address, this.#version === 4 ? 'ipv4' : 'ipv6')
  }
}

const environment = new Environment({ homogeneousAggregateLiterals: false })
  .registerVariable('object', 'dyn')
  .registerVariable('variables', 'dyn')
  .registerType('Cidr', Cidr)
  .registerFunction('isIP(string): bool', isPlainAddress)
  .registerFunction('cidr(string): Cidr', (text: string) => new Cidr(text))
  .registerFunction('Cidr.containsIP(string): bool', (cidr: Cidr, address: string) => cidr.containsIP(address))
  .registerFunction('string.replace(string, string): string', (text: string, from: string, to: string) =>
    text.replaceAll(from, to),
  )

const parsed = new Map<string, ReturnType<Environment['parse']>>()

/** Throws the failure of the expression. */
export function evaluate(expression: string, scope: { readonly object: unknown; readonly variables: unknown }): unknown {
  let program = parsed.get(expression)
  if (program === undefined) {
    program = environment.parse(expression)
    parsed.set(expression, program)
  }
  return program({ ...scope })
}

/** JSON as CEL sees it: whole numbers are int64, and objects are maps with any keys. */
export function celValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(celValue)
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value
  if (typeof value !== 'object' || value === null) return value
  return new Map(Object.entries(value).map(([key, inner]) => [key, celValue(inner)]))
}
