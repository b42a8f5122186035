/**
 * A page of promises, each held by a test. A reference `[name]` in a row leads to a definition at the page's end,
 * `[name]: ../test/FOLDER/FILE.test.ts "TITLE"`. Within a title `…` stands for a part that the test fills in.
 */

export interface Page {
  /** Rows of tables and items of lists, in order. */
  readonly rows: readonly { readonly line: number; readonly text: string; readonly names: readonly string[] }[]
  /** Every reference on the page. */
  readonly referred: ReadonlySet<string>
  readonly definitions: ReadonlyMap<string, { readonly file: string; readonly title: string }>
  /** Names that are defined twice. */
  readonly repeated: readonly string[]
}

const definition = /^\[([^\]]+)\]: \.\.\/(test\/\S+\.test\.ts) "(.+)"$/gm

export function readPage(text: string): Page {
  const definitions = new Map<string, { readonly file: string; readonly title: string }>()
  const repeated: string[] = []
  for (const [, name = '', file = '', title = ''] of text.matchAll(definition)) {
    if (definitions.has(name)) repeated.push(name)
    definitions.set(name, { file, title })
  }
  const body = text.replaceAll(definition, '')
  const rows = rowsOf(body.split('\n')).map((row) => ({ ...row, names: namesIn(row.text) }))
  return { rows, referred: new Set(namesIn(body)), definitions, repeated }
}

function rowsOf(lines: readonly string[]): { line: number; text: string }[] {
  const rows: { line: number; text: string }[] = []
  let item: { line: number; text: string } | undefined
  for (const [index, line] of lines.entries()) {
    const isHead = /^\|[-:|\s]+\|$/.test(lines[index + 1] ?? '')
    if (line.startsWith('|') && !isHead && !/^\|[-:|\s]+\|$/.test(line)) rows.push({ line: index + 1, text: line })
    if (/^\s*[-*] /.test(line)) {
      item = { line: index + 1, text: line }
      rows.push(item)
    } else if (item !== undefined && /^\s+\S/.test(line)) item.text += ` ${line.trim()}`
    else item = undefined
  }
  return rows
}

/** Without links that carry their own address, and without code. */
function namesIn(text: string): readonly string[] {
  const prose = text.replaceAll(/`[^`]*`/g, '')
  return [...prose.matchAll(/\[([^\][]+)\](?!\()/g)].map(([, name = '']) => name.replaceAll(/\s+/g, ' '))
}

interface Title {
  readonly parts: readonly string[]
  /** The test is marked `todo`, or is always skipped. */
  readonly idle: boolean
}

/** Titles of the tests and suites in a source text; a template's parts are those between its expressions. */
function titlesIn(source: string): readonly Title[] {
  const call =
    /\b(?:test|it|describe)(?:\.\w+)?\(\s*(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)"|`((?:\\.|[^`\\])*)`)(?=(.{0,120}))/gs
  return [...source.matchAll(call)].map(([, single, double, template, rest = '']) => {
    const parts = template === undefined ? [single ?? double ?? ''] : template.split(/\$\{[^}]*\}/)
    return {
      parts: parts.map((part) => part.replaceAll(/\\(.)/g, '$1')),
      idle: /^\s*,\s*\{[^}]*\b(?:todo|skip): (?:true|')/.test(rest),
    }
  })
}

/** Texts that may be a whole title, in a file whose tests are made from a table: `test(name, …)`. */
function listedTitles(source: string): readonly string[] {
  if (!/\b(?:test|it)\(\s*\w+,/.test(source)) return []
  return [...source.matchAll(/\bname: '([^'\n]+)'/g)].map(([, name = '']) => name)
}

const escaped = (text: string) => text.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&')

/**
 * Whether a test of this title is in the source, and runs. Where the title in the source has an expression, `title` has `…`, or a
 * word that stands in the source.
 */
export function holds(source: string, title: string): boolean {
  if (listedTitles(source).includes(title)) return true
  return titlesIn(source).some(({ parts, idle }) => {
    if (idle) return false
    const filled = new RegExp(`^${parts.map(escaped).join('(.+?)')}$`, 's').exec(title)
    return filled?.slice(1).every((word) => word === '…' || source.includes(word)) ?? false
  })
}
