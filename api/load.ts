/**
 * Reads resource files as kubectl does: YAML 1.1 (JSON is a subset), several documents in a file, Lists opened.
 *
 * YAML 1.1 takes an unquoted y, n, yes, no, on or off for a boolean, as a value and as a key. It would silently store `required:
 * [x, y]` of a schema as `["x", true]`. An author of one means the text nearly always, so it is refused here, with its line.
 */
import {
  type Document,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  type Scalar,
  type ScalarTag,
  visit,
} from 'yaml'
import { failure } from './errors.ts'
import { roundedNumbers } from './roundednumbers.ts'
import { group, kind } from './schema/pipeline.ts'
import { isRecord, type Problem } from './validation/problem.ts'

export interface LoadedPipeline {
  readonly file: string
  /** Line on which the document (or the item of a List) begins, from 1. */
  readonly line: number
  /** As written: neither checked nor defaulted. */
  readonly document: unknown
  /** Numbers of the payload's schema that were rounded when they were read. */
  readonly rounded: readonly Problem[]
  /** The line of a field by its path (`spec.source.batchSize`), or of the nearest field around it. */
  lineOf(field: string): number
}

const ambiguous = /^(?:[yY]|[yY]es|YES|[oO]n|ON|[nN]|[nN]o|NO|[oO]ff|OFF)$/

/** Types of YAML 1.1 that kubectl's parser does not have: dates, sexagesimal numbers, sets and the like stay text. */
const absentTags = new Set(['binary', 'omap', 'pairs', 'set', 'intTime', 'floatTime', 'timestamp'])
function isAbsent(tag: { readonly tag: string; readonly format?: string }): boolean {
  return tag.format === 'TIME' || absentTags.has(tag.tag.replace('tag:yaml.org,2002:', ''))
}

/** Forms that kubectl's parser has and YAML 1.1 has not: Go's spelling of numbers in other bases, and dots without digits as text. */
const addedTags: readonly ScalarTag[] = [
  {
    tag: 'tag:yaml.org,2002:int',
    default: true,
    test: /^[-+]?0(?:[oO][0-7]+|X[0-9a-fA-F]+|B[01]+)$/,
    resolve: (written) => Number(written.replace(/^[-+]/, '')) * (written.startsWith('-') ? -1 : 1),
  },
  { tag: 'tag:yaml.org,2002:str', default: true, test: /^[-+]?\.(?:[eE].*)?$/, resolve: (written) => written },
]

function parse(text: string, lines: LineCounter): Document[] {
  const documents = parseAllDocuments(text, {
    version: '1.1',
    merge: true,
    uniqueKeys: true,
    lineCounter: lines,
    prettyErrors: false,
    customTags: (tags) => [...addedTags, ...tags.filter((tag) => typeof tag === 'string' || !isAbsent(tag as ScalarTag))],
  })
  return Array.isArray(documents) ? documents.filter(({ contents }) => contents !== null) : []
}

/**
 * Returns the StreamPipelines of a file, and ignores other kinds.
 * @throws InvalidPipeline, with line and column, for a syntax error, an unquoted `yes`, `no`, `on` or `off`, or a file without a
 * StreamPipeline
 */
export function loadPipelines(text: string, file: string): readonly LoadedPipeline[] {
  const lines = new LineCounter()
  const documents = parse(text, lines)
  const found = documents.flatMap((document) => {
    refuseScalars(document, lines, file)
    return resources(document.contents as Node, document, lines, file)
  })
  if (found.length === 0) throw refused(file, `it holds no ${kind} (apiVersion: ${group}/…, kind: ${kind})`)
  return found
}

function refused(file: string, problems: string, cause?: unknown) {
  return failure('InvalidPipeline', { subject: file, problems }, cause)
}

function refuseScalars(document: Document, lines: LineCounter, file: string): void {
  const [first] = document.errors
  if (first !== undefined) {
    const { line, col } = lines.linePos(first.pos[0])
    throw refused(file, `line ${line}, column ${col}: ${first.message}`, first)
  }
  const problems: string[] = []
  visit(document, {
    Scalar(_, node) {
      const problem = problemOf(node)
      if (problem === undefined) return
      const { line, col } = lines.linePos(node.range?.[0] ?? 0)
      problems.push(`line ${line}, column ${col}: ${problem}`)
    },
  })
  if (problems.length > 0) throw refused(file, problems.join('; '))
}

function problemOf({ type, source, value }: Scalar): string | undefined {
  if (typeof value === 'number' && !Number.isFinite(value)) return `JSON has no number ${source}: write "${source}" for the text`
  if (type !== 'PLAIN' || source === undefined || !ambiguous.test(source)) return undefined
  const boolean = /^(?:y|yes|on)$/i.test(source)
  return `YAML 1.1, as kubectl reads it, takes unquoted ${source} for ${boolean}: write "${source}" for the text, ${boolean} for the boolean`
}

function resources(node: Node, document: Document, lines: LineCounter, file: string): LoadedPipeline[] {
  const plain = unfolded(node, document, lines, file)
  if (isRecord(plain) && plain['kind'] === 'List' && isMap(node)) {
    const items = node.get('items')
    return isSeq(items) ? items.items.flatMap((item) => resources(item as Node, document, lines, file)) : []
  }
  if (!isOurs(plain)) return []
  const lineAt = (at: Node) => lines.linePos(at.range?.[0] ?? 0).line
  const rounded = roundedNumbers(node, document)
  return [{ file, line: lineAt(node), document: plain, rounded, lineOf: (field) => lineAt(nearestNode(node, field)) }]
}

/** Aliases are followed only now, so an anchor that is missing, or one that unfolds without end, shows only here. */
function unfolded(node: Node, document: Document, lines: LineCounter, file: string): unknown {
  try {
    return node.toJS(document)
  } catch (thrown) {
    const { line } = lines.linePos(node.range?.[0] ?? 0)
    throw refused(file, `document at line ${line}: ${thrown instanceof Error ? thrown.message : String(thrown)}`, thrown)
  }
}

/** Other kinds may share the file; what names neither kind nor apiVersion is reported as a misspelt pipeline. */
function isOurs(document: unknown): boolean {
  if (document === null) return false
  if (!isRecord(document)) return true
  const { kind: its, apiVersion } = document
  if (its === kind) return true
  return typeof its !== 'string' || (typeof apiVersion === 'string' && apiVersion.startsWith(`${group}/`))
}

/** `a.b[0]["c.d"]`: a name that is no plain word is quoted in brackets. */
function stepsOf(field: string): string[] {
  return [...field.matchAll(/\["((?:[^"\\]|\\.)*)"\]|[^.[\]]+/g)].map(([step, quoted]) =>
    quoted === undefined ? step : (JSON.parse(`"${quoted}"`) as string),
  )
}

/** The key node of a field, or of the innermost field around it that is there. */
function nearestNode(root: Node, field: string): Node {
  let nearest = root
  let current: unknown = root
  for (const step of stepsOf(field)) {
    if (isMap(current)) {
      const pair = current.items.find(({ key }) => isScalar(key) && String(key.value) === step)
      if (!isPair(pair)) break
      nearest = pair.key as Node
      current = pair.value
    } else if (isSeq(current)) {
      current = current.items[Number(step)]
      if (current === undefined) break
      nearest = current as Node
    } else break
  }
  return nearest
}
