/**
 * Which validator judges by a schema: ajv, unless ajv judges a part of the schema wrongly. The survey alone decides it, at compile time.
 * `validate` reports the choice with its reason and place.
 */

import type { SchemaPath } from './finding.ts'
import type { SchemaNode } from './node.ts'
import type { Survey } from './survey.ts'

export type Choice =
  | { readonly kind: 'Fast' }
  /** `reason` completes "because of …". */
  | { readonly kind: 'Exact'; readonly reason: string; readonly path: SchemaPath }

export function chosen(survey: Survey): Choice {
  for (const node of survey.reached) {
    const why = exactFor(node, survey)
    if (why !== undefined) return { kind: 'Exact', ...why }
  }
  return { kind: 'Fast' }
}

interface Why {
  readonly reason: string
  readonly path: SchemaPath
}

/**
 * With more members than this, ajv may exhaust the stack, since it nests them. Members that are cut into pieces have no such bound
 * (ajvschema.ts).
 */
const maxMembers = 300
const uncut = new Set([
  'oneOf',
  'prefixItems',
  'patternProperties',
  'dependentSchemas',
  'dependentRequired',
  'dependencies',
  'required',
])

const inherited = (name: string): boolean => name in Object.prototype
const isComposite = (value: unknown): boolean => typeof value === 'object' && value !== null

function exactFor(node: SchemaNode, survey: Survey): Why | undefined {
  const { value, path } = node
  if (typeof value === 'boolean') return undefined
  for (const [keyword, held] of Object.entries(value)) {
    const why = (reason: string): Why => ({ reason, path: [...path, keyword] })
    if (uncut.has(keyword) && Object.keys(held as object).length > maxMembers)
      return why(`more than ${maxMembers} members of ${keyword}`)
    switch (keyword) {
      case 'unevaluatedProperties':
      case 'unevaluatedItems':
        return why(keyword)
      case '$dynamicRef':
        if (survey.target(node, keyword)?.kind === 'Dynamic') return why('$dynamicRef to a name that several schemas declare')
        break
      case 'enum':
        if (Array.isArray(held) && held.length === 0) return why('an empty enum')
        if (Array.isArray(held) && held.some(isComposite)) return why('objects or lists in enum')
        break
      case 'const':
        if (isComposite(held)) return why('an object or list in const')
        break
      case 'required': {
        const name = (held as string[]).find(inherited)
        if (name !== undefined) return why(`the name ${name}, which JavaScript gives to every object`)
        break
      }
      case 'properties':
      case 'dependentSchemas':
      case 'dependentRequired':
      case 'dependencies': {
        const names = [
          ...Object.keys(held as object),
          ...Object.values(held as object)
            .filter(Array.isArray)
            .flat(),
        ]
        const name = names.find((each) => inherited(String(each)))
        if (name !== undefined) return why(`the name ${String(name)}, which JavaScript gives to every object`)
        break
      }
    }
  }
  return undefined
}
