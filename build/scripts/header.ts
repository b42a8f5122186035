/**
 * Reads the header of a script in redis/scripts: its summary, its keys, arguments and reply by name and type, and its writes in
 * their order. The typed call, and the names in the Lua text, come from the header alone.
 */
export interface Field {
  readonly name: string
  readonly type: string
  readonly text: string
  /** Of `rows`: the columns. */
  readonly columns: readonly Field[]
}

export interface Header {
  readonly name: string
  readonly summary: string
  readonly keys: readonly Field[]
  readonly args: readonly Field[]
  /** Undefined: the reply goes to the caller as it is. */
  readonly reply: readonly Field[] | undefined
  readonly inMulti: boolean
}

export interface Source {
  readonly header: Header
  /** Names of the parts it includes, in order. */
  readonly includes: readonly string[]
  readonly body: string
}

const argumentTypes = ['text', 'integer', 'flag', 'bytes', 'packed', 'rows', 'text[]', 'integer[]', 'bytes[]', 'text...']
const replyTypes = ['text', 'integer', 'flag', 'integer?', 'text[]', 'text[]?', 'integer[]', 'bytes[]', 'rows']
const keyTypes = ['stream', 'hash', 'list', 'zset', 'string', 'any'].flatMap((type) => [type, `${type}[]`, `${type}...`])

/** Splits a script of redis/scripts. Throws where its header is not of the form that redis/scripts/README.md describes. */
export function readScript(name: string, text: string): Source {
  const { comment, rest } = splitHeader(name, text)
  const [summary = '', ...sections] = comment.split(/^ {2}(?=(?:KEYS|ARGV|REPLY|WRITES|MULTI)\b)/m)
  const section = (title: string) => sections.find((part) => part.startsWith(title))
  if (section('WRITES') === undefined) throw new Error(`${name}.lua: the header lists no WRITES`)
  const reply = section('REPLY')
  if (reply === undefined) throw new Error(`${name}.lua: the header names no REPLY`)
  const header: Header = {
    name,
    summary: summary.replaceAll(/\s+/g, ' ').trim(),
    keys: fieldsOf(name, section('KEYS'), keyTypes),
    args: fieldsOf(name, section('ARGV'), argumentTypes),
    reply: /^REPLY +raw\b/.test(reply) ? undefined : fieldsOf(name, reply, replyTypes),
    inMulti: section('MULTI') !== undefined,
  }
  return { header, ...splitIncludes(rest) }
}

/** Splits a part of redis/scripts/lib, whose header is prose. */
export function readPart(name: string, text: string): Omit<Source, 'header'> {
  return splitIncludes(splitHeader(name, text).rest)
}

function splitHeader(name: string, text: string): { comment: string; rest: string } {
  const match = /^--\[\[\n([\s\S]*?)\n\]\]\n/.exec(text)
  if (match === null) throw new Error(`${name}.lua: it begins with no header`)
  return { comment: match[1] ?? '', rest: text.slice(match[0].length) }
}

function splitIncludes(text: string): { includes: readonly string[]; body: string } {
  const includes = [...text.matchAll(/^-- @include (\w+)$/gm)].map(([, part = '']) => part)
  return { includes, body: text.replaceAll(/^-- @include \w+\n/gm, '') }
}

function fieldsOf(script: string, section: string | undefined, types: readonly string[]): readonly Field[] {
  const fields: (Field & { columns: Field[] })[] = []
  for (const line of section?.split('\n').slice(1) ?? []) {
    const match = /^ {4,6}(\.?)(\w+) +(\S+) *(.*)$/.exec(line)
    // A line that is indented further continues the text of the field before.
    if (match === null) continue
    const [, dot = '', name = '', type = '', text = ''] = match
    if (!types.includes(type)) throw new Error(`${script}.lua: ${name} is of type ${type}; known are ${types.join(', ')}`)
    const field = { name, type, text, columns: [] }
    if (fields.at(-1)?.type.endsWith('...')) throw new Error(`${script}.lua: ${name} stands behind a list that must be the last`)
    if (dot === '') fields.push(field)
    else fields.at(-1)?.columns.push(field)
  }
  return fields
}
