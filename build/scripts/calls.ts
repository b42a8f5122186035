/**
 * The TypeScript of a script's typed call: interfaces of its keys, arguments and reply, and the code that sends and reads them.
 * The calls are no async functions: those would keep the arguments, with the payloads of a batch, alive until the reply arrives.
 */
import type { Field, Header } from './header.ts'
import { type Lua, layoutOf } from './lua.ts'

const pascal = (name: string) => `${name[0]?.toUpperCase() ?? ''}${name.slice(1)}`

const argumentType: Readonly<Record<string, string>> = {
  text: 'string',
  integer: 'number',
  flag: 'boolean',
  bytes: 'string | Buffer',
  packed: 'Buffer',
  'text[]': 'readonly string[]',
  'integer[]': 'readonly number[]',
  'bytes[]': 'readonly (string | Buffer)[]',
  'text...': 'readonly string[]',
}

const replyType: Readonly<Record<string, string>> = {
  text: 'string',
  integer: 'number',
  flag: 'boolean',
  'integer?': 'number | undefined',
  'text[]': 'readonly string[]',
  'integer[]': 'readonly number[]',
  'bytes[]': 'readonly Buffer[]',
}

const reader: Readonly<Record<string, string>> = {
  text: 'text',
  integer: 'integer',
  flag: 'flag',
  'integer?': 'maybeInteger',
  'text[]': 'texts',
  'integer[]': 'integers',
  'bytes[]': 'buffers',
}

export function callOf(header: Header, lua: Lua, composed: boolean): string {
  const { name } = header
  const type = pascal(name)
  const rowsOf = (fields: readonly Field[]) => fields.filter((field) => field.type === 'rows')
  const rowName = (field: Field) => `${type}${pascal(field.name.replace(/ies$/, 'y').replace(/s$/, ''))}`
  const reply = header.reply === undefined ? 'unknown' : `${type}Reply`
  const parts = [
    ...[...rowsOf(header.args)].map((field) => shape(rowName(field), field.columns, argumentType)),
    shape(`${type}Keys`, header.keys, {}, keyType),
    shape(`${type}Arguments`, header.args, argumentType, (field) => `readonly ${rowName(field)}[]`),
    ...rowsOf(header.reply ?? []).map((field) => shape(`${rowName(field)}Reply`, field.columns, replyType)),
    header.reply === undefined || header.inMulti
      ? ''
      : shape(`${type}Reply`, header.reply, replyType, (field) => `readonly ${rowName(field)}Reply[]`),
    header.reply === undefined || header.inMulti ? '' : decoder(header, type, rowName),
    `const ${name}Lua = ${[...lua.parts.map(partName), textLiteral(lua.own)].join(' + ')}\n`,
    composed ? composedCall(header, type, reply) : plainCall(header, type, reply),
  ]
  return parts.filter((part) => part !== '').join('\n')
}

const keyType = (field: Field) => (/(\[\]|\.\.\.)$/.test(field.type) ? 'readonly string[]' : 'string')

function shape(
  name: string,
  fields: readonly Field[],
  types: Readonly<Record<string, string>>,
  otherwise: (field: Field) => string = () => 'never',
): string {
  if (fields.length === 0) return ''
  const lines = fields.flatMap((field) => [
    ...(field.text === '' ? [] : [`  /** ${field.text} */`]),
    `  readonly ${field.name}: ${types[field.type] ?? otherwise(field)}`,
  ])
  return `export interface ${name} {\n${lines.join('\n')}\n}\n`
}

function decoder({ name, reply = [] }: Header, type: string, rowName: (field: Field) => string): string {
  const rowDecoders = reply
    .filter((field) => field.type === 'rows')
    .map((field) => {
      const members = field.columns.map(
        (column, index) => `${column.name}: ${reader[column.type] ?? ''}(at[${index}], '${name}')`,
      )
      return `function decode${rowName(field)}(reply: unknown): ${rowName(field)}Reply {
  const at = list(reply, '${name}')
  return { ${members.join(', ')} }
}
`
    })
  const members = reply.map((field, index) => {
    if (field.type !== 'rows') return `${field.name}: ${reader[field.type] ?? ''}(at[${index}], '${name}')`
    return `${field.name}: list(at[${index}], '${name}').map(decode${rowName(field)})`
  })
  return `${rowDecoders.join('\n')}function decode${type}(reply: unknown): ${type}Reply {
  const at = list(reply, '${name}')
  return { ${members.join(', ')} }
}
`
}

/** Statements that pack rows, and the expressions for keys and arguments. */
function sent(header: Header) {
  const { fixedKeys, keyLists, values, lists } = layoutOf(header)
  const keys = [...fixedKeys.map(({ name }) => `keys.${name}`), ...keyLists.map(({ name }) => `...keys.${name}`)]
  const statements = values
    .filter(({ type }) => type === 'rows')
    .map(({ name, columns }) => {
      const packs = columns.map((column) => `    ${name}.${column.type}(row.${column.name})`)
      return `  const ${name} = createPacker(${64 * columns.length} * args.${name}.length)\n  for (const row of args.${name}) {\n${packs.join('\n')}\n  }\n`
    })
  const args = [
    ...keyLists.slice(0, -1).map(({ name }) => `keys.${name}.length`),
    ...values.map(({ name, type }) => {
      if (type === 'rows') return `${name}.finish()`
      return type === 'flag' ? `args.${name} ? 1 : 0` : `args.${name}`
    }),
    ...lists.slice(0, -1).map(({ name }) => `args.${name}.length`),
    ...lists.map(({ name }) => `...args.${name}`),
  ]
  return { statements: statements.join(''), keys: `[${keys.join(', ')}]`, args: `[${args.join(', ')}]` }
}

const binary = ({ reply = [] }: Header) =>
  reply.some(({ type, columns }) => type === 'bytes[]' || columns.some((column) => column.type === 'bytes[]'))

function parametersOf(header: Header, type: string): string {
  const keys = header.keys.length > 0 ? `, keys: ${type}Keys` : ''
  return `${keys}${header.args.length > 0 ? `, args: ${type}Arguments` : ''}`
}

function plainCall(header: Header, type: string, reply: string): string {
  const { name, summary, inMulti } = header
  const { statements, keys, args } = sent(header)
  const script = `const ${name}Script = defineScript('${name}', ${name}Lua)\n`
  const run = `${name}Script.${binary(header) ? 'runBuffer' : 'run'}(connection, ${keys}, ${args})`
  const call = inMulti
    ? `/** ${summary} Appends it to a MULTI. */
export function ${name}(multi: ChainableCommander${parametersOf(header, type)}): void {
${statements}  ${name}Script.queue(multi, ${keys}, ${args})
}

`
    : `/** ${summary} Throws catalogued errors. */
export function ${name}(connection: RedisConnection${parametersOf(header, type)}): Promise<${reply}> {
${statements}  return ${run}${header.reply === undefined ? '' : `.then(decode${type})`}
}
`
  return `${script}\n${call}`
}

function composedCall(header: Header, type: string, reply: string): string {
  const { name, summary } = header
  const { statements, keys, args } = sent(header)
  return `export type ${type} = (connection: RedisConnection${parametersOf(header, type)}) => Promise<${reply}>

/** ${summary} Throws catalogued errors. @param bull the texts of BullMQ that the script includes */
export function ${name}With(bull: BullTexts): ${type} {
  const script = defineScript('${name}', withBullTexts(${name}Lua, bull))
  return (connection${header.keys.length > 0 ? ', keys' : ''}${header.args.length > 0 ? ', args' : ''}) => {
${statements === '' ? '' : `${statements.trimEnd().replaceAll(/^/gm, '  ')}\n`}    return script.run(connection, ${keys}, ${args}).then(decode${type})
  }
}
`
}

export const partName = (part: string): string => `${part}Part`

export const textLiteral = (text: string): string => `\`${text.replaceAll(/[\\`]|\$(?=\{)/g, '\\$&')}\``
