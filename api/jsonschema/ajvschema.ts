/**
 * A schema rewritten for ajv, with the same meaning.
 * - Each target of a reference is stored once, under a name of ours. ajv then resolves neither URIs nor anchors, which it gets wrong. No
 *   target is copied to its references: copies once made megabytes of code of a schema of 7 KB.
 * - A large schema is cut into named pieces. ajv makes one function of a schema and all within it, in time that grows faster than the
 *   function. It also nests one `if` per property, and exhausts the stack at some thousands of properties.
 * - Keywords outside 2020-12 are removed, since ajv gives some of them a meaning.
 * - A counter stands beside each reference of the schema, so that judging has an end (budget.ts).
 */
import { isRecord } from '../validation/problem.ts'
import { isFormat } from './formats.ts'
import { formOf, shelves } from './keywords.ts'
import { innerOf, type SchemaNode } from './node.ts'
import { nullableType } from './nullable.ts'
import { referenceKeywords, type Survey } from './survey.ts'

export const stepKeyword = 'x-streampipeline-step'

/** Most schemas in one function. */
const largestPiece = 100

type Written = Record<string, unknown>

/** The named pieces, each written once. */
interface Pieces {
  /** A reference to the piece, or the schema that stands there. */
  inner(node: SchemaNode): unknown
  referTo(node: SchemaNode): string
  /** Names a schema that is not the author's. */
  cut(schema: Written): Written
}

export function ajvSchema(survey: Survey): unknown {
  const { root, reached } = survey
  const definitions: Written = {}
  const names = new Map<SchemaNode, string>()
  const nameFor = (node: SchemaNode) => names.set(node, names.get(node) ?? `s${names.size}`)
  for (const node of reached) {
    for (const keyword of referenceKeywords) {
      const there = survey.target(node, keyword)?.node
      if (there !== undefined) nameFor(there)
    }
  }
  weigh(survey, names, nameFor)
  const referTo = (node: SchemaNode) => (node === root ? '#' : `#/$defs/${names.get(node)}`)
  let cuts = 0
  const pieces: Pieces = {
    referTo,
    inner: (node) => (node === root || names.has(node) ? { $ref: referTo(node) } : write(node, survey, pieces)),
    cut(schema) {
      cuts += 1
      definitions[`c${cuts}`] = schema
      return { $ref: `#/$defs/c${cuts}` }
    },
  }
  const whole = write(root, survey, pieces)
  for (const [node, name] of names) if (node !== root) definitions[name] = write(node, survey, pieces)
  return isRecord(whole) ? { ...whole, $defs: definitions } : whole
}

/** Names pieces that are too large for the function around them, innermost first. */
function weigh(survey: Survey, names: ReadonlyMap<SchemaNode, string>, nameFor: (node: SchemaNode) => void): void {
  const weights = new Map<string, number>()
  // A schema that is reached later stands deeper, or elsewhere.
  for (const node of [...survey.reached].reverse()) {
    const inside = innerOf(node).reduce((sum, { key }) => sum + (weights.get(key) ?? 0), 1)
    const large = inside > largestPiece
    if (large && node !== survey.root) nameFor(node)
    weights.set(node.key, large || names.has(node) ? 1 : inside)
  }
}

function write(node: SchemaNode, survey: Survey, pieces: Pieces): unknown {
  const { value } = node
  if (typeof value === 'boolean') return value
  const written = Object.fromEntries(
    Object.entries(value).flatMap(([keyword, held]) => writeKeyword(keyword, held, node, survey, pieces)),
  )
  const whole = inPieces(written, pieces)
  const referred = referenceKeywords.flatMap((keyword) => survey.target(node, keyword)?.node ?? [])
  const [first, ...more] = referred.map((there) => ({ [stepKeyword]: true, $ref: pieces.referTo(there) }))
  if (first === undefined) return whole
  return more.length === 0 ? { ...first, ...whole } : { ...first, ...whole, allOf: [...listOf(whole['allOf']), ...more] }
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])

function writeKeyword(keyword: string, held: unknown, node: SchemaNode, survey: Survey, { inner }: Pieces): [string, unknown][] {
  if (shelves.has(keyword)) return []
  const at = (...steps: (string | number)[]) => inner(survey.inner(node, keyword, ...steps))
  const byName = (write: (name: string, member: unknown) => unknown): [string, unknown][] => [
    [keyword, Object.fromEntries(Object.entries(held as object).map(([name, member]) => [name, write(name, member)]))],
  ]
  switch (formOf(keyword)) {
    case 'Schema':
      return [[keyword, at()]]
    case 'Schemas':
      return [[keyword, listOf(held).map((_, index) => at(index))]]
    case 'SchemaByName':
    case 'SchemaByPattern':
      return byName((name) => at(name))
    case 'Dependencies':
      return byName((name, member) => (Array.isArray(member) ? member : at(name)))
    case 'Types':
      return isRecord(node.value) ? [[keyword, nullableType(node.value)]] : []
    case 'Reference':
    case 'Identifier':
    case 'Anchor':
    case 'Dialect':
    case 'Vocabulary':
    case undefined:
      return []
    default:
      return keyword === 'format' && !isFormat(String(held)) ? [] : [[keyword, held]]
  }
}

/** Splits many properties, and many members of `allOf` and `anyOf`, into pieces. `additionalProperties` still sees all names. */
function inPieces(schema: Written, { cut }: Pieces): Written {
  const { properties, allOf, anyOf } = schema
  const members = Object.entries(isRecord(properties) ? properties : {})
  const all = listOf(allOf)
  const any = listOf(anyOf)
  if (Math.max(members.length, all.length, any.length) <= largestPiece) return schema
  const cutProperties =
    members.length <= largestPiece ? [] : chunks(members).map((some) => cut({ properties: Object.fromEntries(some) }))
  const cutAll = all.length <= largestPiece ? all : chunks(all).map((some) => cut({ allOf: some }))
  const together = [...cutProperties, ...cutAll]
  return {
    ...schema,
    ...(cutProperties.length > 0 && { properties: Object.fromEntries(members.map(([name]) => [name, true])) }),
    ...(together.length > 0 && { allOf: together }),
    ...(any.length > largestPiece && { anyOf: chunks(any).map((some) => cut({ anyOf: some })) }),
  }
}

function chunks<T>(list: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(list.length / largestPiece) }, (_, index) =>
    list.slice(index * largestPiece, (index + 1) * largestPiece),
  )
}
