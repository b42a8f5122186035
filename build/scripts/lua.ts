/**
 * The Lua text of a script for Redis, in this order: the parts that it includes, each once and after its own includes; keys and
 * arguments under the names of the header; the script's own text.
 *
 * The order of arguments: the number of items of each list of keys but the last; values; the number of items of each list but the
 * last; the lists. Both sides take that order from `layoutOf`.
 */
import type { Field, Header, Source } from './header.ts'

interface Layout {
  readonly fixedKeys: readonly Field[]
  readonly keyLists: readonly Field[]
  readonly values: readonly Field[]
  readonly lists: readonly Field[]
}

const isList = ({ type }: Field) => type.endsWith('[]') || isTail({ type })
/** The script takes its items from KEYS or ARGV itself. */
const isTail = ({ type }: Pick<Field, 'type'>) => type.endsWith('...')

export function layoutOf({ keys, args }: Header): Layout {
  return {
    fixedKeys: keys.filter((key) => !isList(key)),
    keyLists: keys.filter(isList),
    values: args.filter((field) => !isList(field)),
    lists: args.filter(isList),
  }
}

export interface Parts {
  part(name: string): Omit<Source, 'header'>
  /** The text in place of `-- @table NAME`. */
  table(name: string): string
}

export interface Lua {
  /** Names of the parts before the script's own text, in their order. */
  readonly parts: readonly string[]
  readonly own: string
}

export function luaOf({ header, includes, body }: Source, parts: Parts): Lua {
  const included: string[] = []
  const include = (name: string) => {
    if (included.includes(name)) return
    for (const needed of parts.part(name).includes) include(needed)
    if (!included.includes(name)) included.push(name)
  }
  const { values, lists, keyLists } = layoutOf(header)
  if (![...lists, ...keyLists].every(isTail) || values.some(({ type }) => type === 'rows') || /\bslice\(/.test(body))
    include('rows')
  for (const name of includes) include(name)
  return { parts: included, own: sent([...prologue(header), body].join('\n'), parts) }
}

export const partOf = (name: string, parts: Parts): string => sent(parts.part(name).body, parts)

/** The text as a server gets it: with its tables, without comments and empty lines. It ends with a line break. */
function sent(text: string, parts: Parts): string {
  const filled = `${text.trimEnd()}\n`.replaceAll(/^.*-- @table (\w+)$/gm, (_, name: string) => parts.table(name))
  return filled.replaceAll(/^\s*--(?! @bullmq).*\n/gm, '').replaceAll(/\n{2,}/g, '\n')
}

/** Lua that gives keys and arguments their names. */
function prologue(header: Header): readonly string[] {
  const { fixedKeys, keyLists, values, lists } = layoutOf(header)
  const lines: string[] = []
  const bind = (fields: readonly Field[], expressions: readonly string[]) => {
    if (fields.length > 0) lines.push(`local ${fields.map(({ name }) => name).join(', ')} = ${expressions.join(', ')}`)
  }
  bind(
    fixedKeys,
    fixedKeys.map((_, index) => `KEYS[${index + 1}]`),
  )
  let at = 1
  let from = String(fixedKeys.length + 1)
  for (const [index, list] of keyLists.entries()) {
    const last = index === keyLists.length - 1
    const count = last ? `#KEYS - (${from}) + 1` : `ARGV[${at++}]`
    bind([list], [isTail(list) ? from : `slice(KEYS, ${from}, ${count})`])
    if (!last) from = `${from} + #${list.name}`
  }
  const first = at
  bind(
    values,
    values.map((field, index) => boundValue(field, `ARGV[${first + index}]`)),
  )
  at += values.length
  const countsAt = at
  from = String(at + Math.max(0, lists.length - 1))
  for (const [index, list] of lists.entries()) {
    const last = index === lists.length - 1
    const count = last ? `#ARGV - (${from}) + 1` : `ARGV[${countsAt + index}]`
    bind([list], [isTail(list) ? from : `slice(ARGV, ${from}, ${count})`])
    if (list.type === 'integer[]') lines.push(`for i, value in ipairs(${list.name}) do ${list.name}[i] = tonumber(value) end`)
    if (!last) from = `${from} + #${list.name}`
  }
  return lines
}

function boundValue({ type, columns }: Field, argument: string): string {
  switch (type) {
    case 'integer':
      return `tonumber(${argument})`
    case 'flag':
      return `${argument} == '1'`
    case 'packed':
      return `cmsgpack.unpack(${argument})`
    case 'rows':
      return `rows(${argument}, ${columns.length})`
    default:
      return argument
  }
}
