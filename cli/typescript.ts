/**
 * TypeScript types of the payloads that a JSON Schema describes. A type says less than a schema: patterns, bounds and conditions are left out,
 * and what a type cannot say is `unknown`. So every valid payload has the type.
 */
type Schema = Readonly<Record<string, unknown>>

/** Which definitions are referred to, and their names. */
interface Context {
  readonly root: Schema
  readonly rootName: string
  /** Reference → name of its type, in the order of their first use. */
  readonly named: Map<string, string>
}

/** @param pipeline its name; the type is `NdviJobsPayload` for `ndvi-jobs` */
export function payloadTypes(pipeline: string, schema: Schema | undefined): string {
  const rootName = `${typeName(pipeline)}Payload`
  const context: Context = { root: schema ?? {}, rootName, named: new Map() }
  const body = schema === undefined ? 'Readonly<Record<string, unknown>>' : typeOf(schema, context, 0)
  const definitions: string[] = []
  const done = new Set<string>()
  for (let more = true; more; ) {
    more = false
    for (const [reference, name] of context.named) {
      if (done.has(reference)) continue
      done.add(reference)
      more = true
      definitions.push(
        `${note(found(context.root, reference))}export type ${name} = ${typeOf(found(context.root, reference), context, 0)}\n`,
      )
    }
  }
  return [
    `// Made by \`streampipeline types\` from the StreamPipeline ${pipeline}. Make it again when the schema changes.\n`,
    `/** ${describe(schema) ?? `A payload of the pipeline ${pipeline}.`} */`,
    `export type ${rootName} = ${body}\n`,
    ...definitions,
  ].join('\n')
}

const scalars: Readonly<Record<string, string>> = {
  string: 'string',
  integer: 'number',
  number: 'number',
  boolean: 'boolean',
  null: 'null',
}

function typeOf(schema: unknown, context: Context, depth: number): string {
  if (typeof schema !== 'object' || schema === null) return schema === false ? 'never' : 'unknown'
  const { $ref, const: constant, enum: values, anyOf, oneOf, allOf, ...rest } = schema as Schema
  if (typeof $ref === 'string')
    return both([referred($ref, context), ...(Object.keys(rest).length === 0 ? [] : [typeOf(rest, context, depth)])])
  if (Object.hasOwn(schema, 'const')) return literal(constant)
  if (Array.isArray(values)) return either(values.map(literal))
  const own = ownType(rest, context, depth)
  const parts = [own, ...lists(allOf).map((each) => typeOf(each, context, depth))]
  for (const choices of [anyOf, oneOf]) {
    if (Array.isArray(choices)) parts.push(either(choices.map((each: unknown) => typeOf(each, context, depth))))
  }
  return both(parts)
}

const lists = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

function ownType(schema: Schema, context: Context, depth: number): string {
  const { type, properties } = schema
  if (Array.isArray(type)) return either(type.map((each: unknown) => ownType({ ...schema, type: each }, context, depth)))
  if (type === 'object' || (type === undefined && properties !== undefined)) return objectType(schema, context, depth)
  if (type === 'array') return listType(schema, context, depth)
  return typeof type === 'string' ? (scalars[type] ?? 'unknown') : 'unknown'
}

function objectType(
  { properties, required, additionalProperties, patternProperties }: Schema,
  context: Context,
  depth: number,
): string {
  const needed = new Set(lists(required))
  const declared = Object.entries(typeof properties === 'object' && properties !== null ? properties : {})
  const pad = '  '.repeat(depth + 1)
  const members = declared.map(([name, member]: [string, unknown]) => {
    const optional = needed.has(name) ? '' : '?'
    return `${note(member, pad)}${pad}readonly ${propertyName(name)}${optional}: ${typeOf(member, context, depth + 1)}`
  })
  for (const name of needed) {
    if (typeof name === 'string' && !declared.some(([known]) => known === name))
      members.push(`${pad}readonly ${propertyName(name)}: unknown`)
  }
  const isOpen = additionalProperties !== false || patternProperties !== undefined
  if (members.length === 0) {
    const rest = typeof additionalProperties === 'object' ? typeOf(additionalProperties, context, depth) : 'unknown'
    return isOpen ? `Readonly<Record<string, ${rest}>>` : 'Readonly<Record<string, never>>'
  }
  // An index must be as wide as the members beside it.
  if (isOpen) members.push(`${pad}readonly [name: string]: unknown`)
  return `{\n${members.join('\n')}\n${'  '.repeat(depth)}}`
}

function listType({ items, prefixItems }: Schema, context: Context, depth: number): string {
  const rest = items === undefined ? 'unknown' : typeOf(items, context, depth)
  if (!Array.isArray(prefixItems)) return `readonly ${wrapped(rest)}[]`
  // A list may be shorter than its prefix.
  const first = prefixItems.map((each: unknown) => `${wrapped(typeOf(each, context, depth))}?`)
  return `readonly [${[...first, ...(rest === 'never' ? [] : [`...${wrapped(rest)}[]`])].join(', ')}]`
}

function referred(reference: string, { root, rootName, named }: Context): string {
  if (reference === '#') return rootName
  if (found(root, reference) === undefined) return 'unknown'
  const known = named.get(reference)
  if (known !== undefined) return known
  const wanted = typeName(decoded(reference.split('/').at(-1) ?? '')) || 'Part'
  const taken = new Set([rootName, ...named.values()])
  let name = wanted
  for (let number = 2; taken.has(name); number++) name = `${wanted}${number}`
  named.set(reference, name)
  return name
}

/** Of a pointer within the schema; anchors and ids are not followed. */
function found(root: Schema, reference: string): unknown {
  if (!reference.startsWith('#/')) return undefined
  let at: unknown = root
  for (const part of reference.slice(2).split('/').map(decoded)) {
    at = typeof at === 'object' && at !== null && Object.hasOwn(at, part) ? Reflect.get(at, part) : undefined
  }
  return at
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')
  } catch {
    // No escape: the name itself.
    return part
  }
}

function literal(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  return typeof value === 'object' && value !== null ? 'unknown' : String(value)
}

function either(types: readonly string[]): string {
  const different = [...new Set(types)]
  if (different.includes('unknown')) return 'unknown'
  return different.length === 0 ? 'never' : different.length === 1 ? (different[0] ?? '') : different.map(wrapped).join(' | ')
}

function both(types: readonly string[]): string {
  const different = [...new Set(types)].filter((type) => type !== 'unknown')
  return different.length === 0 ? 'unknown' : different.length === 1 ? (different[0] ?? '') : different.map(wrapped).join(' & ')
}

/** Unions and intersections within other types. */
const wrapped = (type: string) =>
  /[|&]/.test(type.replaceAll(/"(?:[^"\\]|\\.)*"|\{[\s\S]*\}/g, '')) || type.startsWith('readonly ') ? `(${type})` : type

const propertyName = (name: string) => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name))

const typeName = (text: string) =>
  text
    .split(/[^A-Za-z0-9]+/)
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join('')
    .replace(/^(?=\d)/, '_')

function describe(schema: unknown): string | undefined {
  if (typeof schema !== 'object' || schema === null) return undefined
  const { description, title } = schema as Schema
  const text = typeof description === 'string' ? description : title
  return typeof text === 'string' && text !== '' ? text.replaceAll('*/', '* /').replaceAll(/\s+/g, ' ') : undefined
}

function note(schema: unknown, pad = ''): string {
  const text = describe(schema)
  return text === undefined ? '' : `${pad}/** ${text} */\n`
}
