/**
 * The names that references use: `$id` of resources, `$anchor` and `$dynamicAnchor`. Two different schemas under one name are a finding, and
 * the first one keeps the name. One schema may stand in several places, since YAML aliases repeat it.
 */
import { type Address, resolveAddress } from './address.ts'
import type { Finding } from './finding.ts'
import type { SchemaNode } from './node.ts'

interface Names {
  /** By URI, without fragment. */
  readonly resources: ReadonlyMap<string, SchemaNode>
  /** By URI with the anchor as fragment. */
  readonly anchors: ReadonlyMap<string, SchemaNode>
  /** Names declared by `$dynamicAnchor`, with the key of each resource's schema for that name. */
  readonly dynamicAnchors: ReadonlyMap<string, ReadonlyMap<string, string>>
  /** Declares the names of a schema. Returns the schema with the base that its own `$id` sets. */
  declare(node: SchemaNode): SchemaNode
}

/** @param findings receives names that stand twice, and `$id`s that are no URI */
export function createNames(findings: Finding[]): Names {
  const resources = new Map<string, SchemaNode>()
  const anchors = new Map<string, SchemaNode>()
  const dynamicAnchors = new Map<string, Map<string, string>>()

  function enter(names: Map<string, SchemaNode>, name: string, node: SchemaNode, keyword: string, written: string): void {
    const other = names.get(name)
    if (other === undefined) names.set(name, node)
    else if (!node.foreign && JSON.stringify(other.value) !== JSON.stringify(node.value)) {
      findings.push({
        path: node.path,
        weight: 'Unusable',
        message: `${keyword} ${JSON.stringify(written)} stands twice: rename one`,
      })
    }
  }

  function ownAddress({ base, path }: SchemaNode, id: string): Address | undefined {
    const own = resolveAddress(id, base)
    if (own !== undefined) return own
    const message = `$id ${JSON.stringify(id)} is no URI, or is relative where the schema around it has no path: write an absolute URI`
    findings.push({ path: [...path, '$id'], weight: 'Unusable', message })
    return undefined
  }

  return {
    resources,
    anchors,
    dynamicAnchors,
    declare(place) {
      const { value } = place
      const id = identifierOf(value)
      const own = id === undefined ? undefined : ownAddress(place, id)
      const node = own === undefined ? place : { ...place, base: own.resource }
      if (own !== undefined || node.path.length === 0) enter(resources, node.base, node, '$id', String(id))
      if (typeof value === 'boolean') return node
      for (const keyword of ['$anchor', '$dynamicAnchor']) {
        const name = value[keyword]
        if (typeof name === 'string') enter(anchors, `${node.base}#${name}`, node, keyword, name)
      }
      const name = value['$dynamicAnchor']
      if (typeof name === 'string') {
        const ofResource = dynamicAnchors.get(node.base) ?? new Map<string, string>()
        dynamicAnchors.set(node.base, ofResource.set(name, ofResource.get(name) ?? node.key))
      }
      return node
    },
  }
}

/** With a fragment `$id` is no identifier; the check of its value reports that. */
function identifierOf(value: SchemaNode['value']): string | undefined {
  const written = typeof value === 'object' ? value['$id'] : undefined
  return typeof written === 'string' && /^[^#]*#?$/.test(written) ? written : undefined
}
