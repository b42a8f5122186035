/**
 * Targets of the references in a payload's schema: by JSON pointer, `$anchor`, and `$id`. Only the schema itself is searched. A reference
 * that leads out of it is undefined here; the schema's compiler refuses it.
 */
import { isRecord } from '../validation/problem.ts'

export type SchemaObject = Readonly<Record<string, unknown>>

export interface References {
  /** The target of this schema's `$ref` or `$dynamicRef`. */
  target(holder: SchemaObject, keyword: '$ref' | '$dynamicRef'): unknown
}

/** The address of a schema without `$id`. Nothing is fetched from it. */
const ownAddress = 'https://payload.invalid/schema'

const maps: ReadonlySet<string> = new Set([
  ...['properties', 'patternProperties', 'dependentSchemas', 'dependencies', '$defs', 'definitions'],
])
const lists: ReadonlySet<string> = new Set(['allOf', 'anyOf', 'oneOf', 'prefixItems'])
const single: ReadonlySet<string> = new Set([
  ...['items', 'contains', 'not', 'if', 'then', 'else', 'additionalProperties', 'propertyNames'],
  ...['unevaluatedItems', 'unevaluatedProperties', 'contentSchema'],
])

/** The members of a schema that are schemas themselves. `const`, `enum` and `default` hold values. */
function inner(schema: SchemaObject): unknown[] {
  return Object.entries(schema).flatMap(([keyword, value]) => {
    if (single.has(keyword)) return [value]
    if (lists.has(keyword) && Array.isArray(value)) return value as unknown[]
    return maps.has(keyword) && isRecord(value) ? Object.values(value) : []
  })
}

export function createReferences(root: SchemaObject): References {
  const addresses = new Map<SchemaObject, string>()
  /** Schemas by address, and by address and anchor. */
  const places = new Map<string, SchemaObject>()
  const dynamicAnchors = new Map<string, SchemaObject>()

  const register = (start: SchemaObject, address: string) => {
    const open: [SchemaObject, string][] = [[start, address]]
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const [schema, outer] = next
      if (addresses.has(schema)) continue
      const id = schema['$id']
      const own = typeof id === 'string' ? (resolved(id, outer)?.address ?? outer) : outer
      addresses.set(schema, own)
      if (own !== outer && !places.has(own)) places.set(own, schema)
      const anchor = schema['$anchor']
      const dynamic = schema['$dynamicAnchor']
      if (typeof anchor === 'string') places.set(`${own}#${anchor}`, schema)
      if (typeof dynamic === 'string') {
        places.set(`${own}#${dynamic}`, schema)
        // The outermost resource that declares the name wins: inner resources come later.
        if (!dynamicAnchors.has(dynamic) || own === addresses.get(root)) dynamicAnchors.set(dynamic, schema)
      }
      for (const member of inner(schema)) if (isRecord(member)) open.push([member, own])
    }
  }
  places.set(ownAddress, root)
  register(root, ownAddress)

  const find = (reference: string, from: string): unknown => {
    const parts = resolved(reference, from)
    if (parts === undefined) return undefined
    const { address, fragment } = parts
    const resource = places.get(address)
    if (fragment === '') return resource
    if (!fragment.startsWith('/')) return places.get(`${address}#${fragment}`)
    const found = pointed(resource, fragment)
    // The pointer leads below a keyword that holds no schemas, such as `components`.
    if (isRecord(found)) register(found, address)
    return found
  }

  return {
    target(holder, keyword) {
      const reference = holder[keyword]
      if (typeof reference !== 'string') return undefined
      const found = find(reference, addresses.get(holder) ?? ownAddress)
      if (keyword === '$ref' || !isRecord(found)) return found
      const anchor = found['$dynamicAnchor']
      return typeof anchor === 'string' && reference.endsWith(`#${anchor}`) ? dynamicAnchors.get(anchor) : found
    },
  }
}

function resolved(reference: string, base: string): { readonly address: string; readonly fragment: string } | undefined {
  if (!URL.canParse(reference, base)) return undefined
  const { href, hash } = new URL(reference, base)
  return { address: hash === '' ? href.replace(/#$/, '') : href.slice(0, -hash.length), fragment: decoded(hash.slice(1)) }
}

function decoded(fragment: string): string {
  try {
    return decodeURIComponent(fragment)
  } catch (thrown) {
    if (thrown instanceof URIError) return fragment
    throw thrown
  }
}

function pointed(from: unknown, pointer: string): unknown {
  let at = from
  for (const part of pointer.slice(1).split('/')) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return undefined
    at = Reflect.get(at, name)
  }
  return at
}
