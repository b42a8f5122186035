/** The reference of the library: what an application imports, from the types and docstrings of its sources. */
import { type Declaration, libraryExports, type Member } from './declarations.ts'

/** Members that this project's own code calls. */
const hidden: ReadonlySet<string> = new Set(['~standard'])

const cell = (text: string) => text.replaceAll(/\s*\n\s*/g, ' ').replaceAll('|', '\\|')
/** Within a table a bar is written with a backslash. */
const code = (text: string) => `\`${cell(text)}\``

/** Docstrings mark parameters and paragraphs. */
const prose = (doc: string) =>
  cell(
    doc
      .replaceAll(/@param (\w+)/g, '*$1*:')
      .replaceAll('@throws', 'Throws')
      .replaceAll(/\{@link (\w+)\}/g, '$1')
      .replaceAll('the portable path', '[the portable path](guarantees.md#the-three-paths)'),
  ).trim()

/** A docstring outside a table: its prose, then its example, which is indented by four spaces. */
function described(doc: string): readonly string[] {
  const lines = doc.split('\n')
  const example = lines.filter((line) => line.startsWith('    ')).map((line) => line.slice(4))
  const text = prose(lines.filter((line) => !line.startsWith('    ')).join('\n'))
  return example.length === 0 ? [text] : [text, `\`\`\`\n${example.join('\n')}\n\`\`\``]
}

function rowOf({ name, optional, type, doc }: Member): string {
  return `| \`${name}\`${optional ? '' : ' *'} | ${code(type)} | ${prose(doc)} |`
}

function sectionOf({ name, kind, head, doc, beyond, members, text }: Declaration): string {
  const parts = [`### ${name}`]
  if (kind === 'function') parts.push(`\`\`\`\n${head}\n\`\`\``)
  if (doc !== '') parts.push(...described(doc))
  if (beyond !== undefined && beyond !== 'Error') parts.push(`With the members of [${beyond}](#${beyond.toLowerCase()}).`)
  const shown = members.filter((member) => !hidden.has(member.name))
  if (shown.length > 0) parts.push(['| Member | Type | |', '|---|---|---|', ...shown.map(rowOf)].join('\n'))
  if (kind === 'type') parts.push(`\`\`\`\n${text}\n\`\`\``)
  return parts.join('\n\n')
}

export function libraryReference(): string {
  const all = libraryExports()
  const of = (kind: Declaration['kind']) => all.filter((each) => each.kind === kind).map(sectionOf)
  return `# The library

This page lists the functions and types that \`import … from 'streampipeline'\` provides. [In your application](application.md) shows
how to use them.

A member with * is always present in a result, and required in options. Times are milliseconds unless a row states another unit. Each
error is a [StreamPipelineError](#streampipelineerror). [Its code](troubleshooting.md) leads to cause and remedy.

## Functions

${of('function').join('\n\n')}

## Objects

${of('interface').join('\n\n')}

## Types

${of('type').join('\n\n')}
`
}
