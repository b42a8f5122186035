/**
 * A schema laid out for reference. It holds each subschema with its place and base URI, and the names (`$id`, `$anchor`, `$dynamicAnchor`)
 * that references use. A pointer identifies a place, not an object: YAML aliases put one object in several places, with a base each.
 */
import { isRecord } from '../validation/problem.ts'
import { payloadBase, pointerTo, resolveAddress, stepsOf } from './address.ts'
import type { Finding, SchemaPath } from './finding.ts'
import { formOf } from './keywords.ts'
import { standardSchema } from './standard.ts'

export type SchemaValue = boolean | Readonly<Record<string, unknown>>

export interface SchemaNode {
  readonly value: SchemaValue
  /** Unique: the root's URI and the pointer from there. */
  readonly key: string
  readonly path: SchemaPath
  /** URI of the resource that holds the schema, without fragment. */
  readonly base: string
  /** True: one of the standard's own schemas. */
  readonly foreign: boolean
}

/** Target of a reference. Dynamic: the outermost resource that declares the name, or the node where none does. */
type Found =
  | { readonly kind: 'Node'; readonly node: SchemaNode; readonly anchor?: string }
  | { readonly kind: 'Remote'; readonly resource: string }
  | { readonly kind: 'Missing' }
  | { readonly kind: 'Unreadable' }

export interface Layout {
  readonly root: SchemaNode
  readonly nodes: ReadonlyMap<string, SchemaNode>
  /** Names declared by `$dynamicAnchor`, with the key of each resource's schema for that name. */
  readonly dynamicAnchors: ReadonlyMap<string, ReadonlyMap<string, string>>
  readonly findings: Finding[]
  /** Lays out a reference's target, once. */
  find(reference: string, from: SchemaNode): Found
}

interface Place {
  readonly value: SchemaValue
  readonly key: string
  readonly path: SchemaPath
  readonly base: string
  readonly foreign: boolean
}

export const isSchema = (value: unknown): value is SchemaValue => isRecord(value) || typeof value === 'boolean'

export function layOut(schema: SchemaValue): Layout {
  const nodes = new Map<string, SchemaNode>()
  const resources = new Map<string, SchemaNode>()
  const anchors = new Map<string, SchemaNode>()
  const dynamicAnchors = new Map<string, Map<string, string>>()
  const findings: Finding[] = []

  function declare<T extends SchemaNode>(
    names: Map<string, SchemaNode>,
    name: string,
    node: T,
    what: string,
    said: string,
  ): void {
    const other = names.get(name)
    if (other === undefined) names.set(name, node)
    else if (!node.foreign && JSON.stringify(other.value) !== JSON.stringify(node.value)) {
      findings.push({ path: node.path, weight: 'Fault', message: `${what} ${JSON.stringify(said)} stands twice: rename one` })
    }
  }

  function add(place: Place): SchemaNode {
    const { value } = place
    const written = typeof value === 'object' ? value['$id'] : undefined
    // With a fragment it is no identifier; the check of its value reports that.
    const id = typeof written === 'string' && /^[^#]*#?$/.test(written) ? written : undefined
    const own = typeof id === 'string' ? resolveAddress(id, place.base) : undefined
    if (typeof id === 'string' && own === undefined) {
      const message = `$id ${JSON.stringify(id)} is no URI, or is relative where the schema around it has no path: write an absolute URI`
      findings.push({ path: [...place.path, '$id'], weight: 'Fault', message })
    }
    const node = own === undefined ? place : { ...place, base: own.resource }
    nodes.set(node.key, node)
    if (own !== undefined || node.path.length === 0) declare(resources, node.base, node, '$id', String(id))
    if (typeof value === 'boolean') return node
    for (const keyword of ['$anchor', '$dynamicAnchor']) {
      const name = value[keyword]
      if (typeof name === 'string') declare(anchors, `${node.base}#${name}`, node, keyword, name)
    }
    const name = value['$dynamicAnchor']
    if (typeof name === 'string') {
      const ofResource = dynamicAnchors.get(node.base) ?? new Map<string, string>()
      dynamicAnchors.set(node.base, ofResource.set(name, ofResource.get(name) ?? node.key))
    }
    return node
  }

  /** Without recursion: input from outside decides the depth. */
  function walk(place: Place): SchemaNode {
    const first = add(place)
    const open = [first]
    for (let node = open.pop(); node !== undefined; node = open.pop()) {
      for (const inner of innerOf(node)) if (!nodes.has(inner.key)) open.push(add(inner))
    }
    return first
  }

  function resourceAt(uri: string): SchemaNode | undefined {
    const known = resources.get(uri)
    if (known !== undefined) return known
    const standard = standardSchema(uri)
    return standard && walk({ value: standard, key: `${uri}#`, path: [], base: uri, foreign: true })
  }

  /** A place that no keyword makes a schema, such as `#/components/schemas/x`. It becomes one because a reference leads to it. */
  function pointed(from: SchemaNode, pointer: string): SchemaNode | undefined {
    let node = from
    let { key } = from
    let value: unknown = from.value
    const path: (string | number)[] = [...from.path]
    for (const step of stepsOf(pointer)) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
      value = Reflect.get(value, step)
      path.push(Array.isArray(value) || !/^\d+$/.test(step) ? step : Number(step))
      key = pointerTo(key, step)
      node = nodes.get(key) ?? node
    }
    if (node.key === key) return node
    return isSchema(value) ? walk({ value, key, path, base: node.base, foreign: node.foreign }) : undefined
  }

  function find(reference: string, from: SchemaNode): Found {
    const address = resolveAddress(reference, from.base)
    if (address === undefined) return { kind: 'Unreadable' }
    const resource = resourceAt(address.resource)
    if (resource === undefined) return { kind: 'Remote', resource: address.resource }
    const { fragment } = address
    if (fragment === '') return { kind: 'Node', node: resource }
    const anchored = fragment.startsWith('/') ? undefined : anchors.get(`${address.resource}#${fragment}`)
    if (anchored !== undefined) return { kind: 'Node', node: anchored, anchor: fragment }
    const node = fragment.startsWith('/') ? pointed(resource, fragment) : undefined
    return node === undefined ? { kind: 'Missing' } : { kind: 'Node', node }
  }

  const root = walk({ value: schema, key: `${payloadBase}#`, path: [], base: payloadBase, foreign: false })
  return { root, nodes, dynamicAnchors, findings, find }
}

/** The direct subschemas of a schema, by the keywords that hold schemas. */
export function innerOf({ value, key, path, base, foreign }: SchemaNode): Place[] {
  if (typeof value === 'boolean') return []
  return Object.entries(value).flatMap(([keyword, held]) => {
    const place = (inner: unknown, ...steps: (string | number)[]): Place[] =>
      isSchema(inner)
        ? [{ value: inner, key: pointerTo(key, keyword, ...steps), path: [...path, keyword, ...steps], base, foreign }]
        : []
    switch (formOf(keyword)) {
      case 'Schema':
        return place(held)
      case 'Schemas':
        return Array.isArray(held) ? held.flatMap((inner, index) => place(inner, index)) : []
      case 'SchemaByName':
      case 'SchemaByPattern':
      case 'Dependencies':
        return isRecord(held) ? Object.entries(held).flatMap(([name, inner]) => place(inner, name)) : []
      default:
        return []
    }
  })
}

/** The key of a subschema under a keyword. */
export function innerKey(node: SchemaNode, keyword: string, ...steps: (string | number)[]): string {
  return pointerTo(node.key, keyword, ...steps)
}
