/**
 * A schema laid out for reference. It holds each subschema with its place and base URI, and the names (`$id`, `$anchor`, `$dynamicAnchor`)
 * that references use. A pointer identifies a place, not an object: YAML aliases put one object in several places, with a base each.
 */
import { payloadBase, pointerTo, resolveAddress, stepsOf } from './address.ts'
import type { Finding } from './finding.ts'
import { createNames } from './names.ts'
import { innerOf, isSchema, type SchemaNode, type SchemaValue } from './node.ts'
import { standardSchema } from './standard.ts'

/** Target of a reference. `anchor`: the name in the reference, if it names the node by an anchor. */
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

export function layOut(schema: SchemaValue): Layout {
  const nodes = new Map<string, SchemaNode>()
  const findings: Finding[] = []
  const { resources, anchors, dynamicAnchors, declare } = createNames(findings)

  function add(place: SchemaNode): SchemaNode {
    const node = declare(place)
    nodes.set(node.key, node)
    return node
  }

  /** Without recursion: input from outside decides the depth. */
  function walk(place: SchemaNode): SchemaNode {
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
