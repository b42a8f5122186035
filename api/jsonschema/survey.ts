/**
 * All facts about a schema that precede its validator: its layout, the targets of its references, and the findings about it. It is pure. It
 * gives `validate` its verdict, and decides which validator is chosen and how it is built.
 *
 * Earlier releases examined only schemas that judge, and ignored `$defs` without references. So a problem in an unreached schema stops no
 * running resource.
 */
import { isRecord } from '../validation/problem.ts'
import { type Layout, layOut } from './document.ts'
import { clip, type Finding, spellPath } from './finding.ts'
import { inPlace, shelves } from './keywords.ts'
import { excess, limits } from './limits.ts'
import { lint } from './lint.ts'
import { innerKey, innerOf, type SchemaNode, type SchemaValue } from './node.ts'

/** Dynamic: decided while judging, because several resources declare the name. */
type Target =
  | { readonly kind: 'Static'; readonly node: SchemaNode }
  | { readonly kind: 'Dynamic'; readonly name: string; readonly node: SchemaNode }

export interface Survey {
  readonly root: SchemaNode
  /** Every schema that judges: the root, and all that keywords and references reach from there. */
  readonly reached: readonly SchemaNode[]
  readonly dynamicAnchors: Layout['dynamicAnchors']
  readonly findings: readonly Finding[]
  /** Target of the reference under a keyword. Undefined: it has none, and a finding explains it. */
  target(node: SchemaNode, keyword: string): Target | undefined
  /** The schema under a keyword, or under a name in it. */
  inner(node: SchemaNode, keyword: string, ...steps: (string | number)[]): SchemaNode
}

/** The last keyword is of 2019-09: a resource that runs with it keeps running as before. */
export const referenceKeywords: readonly string[] = ['$ref', '$dynamicRef', '$recursiveRef']

export function survey(schema: SchemaValue): Survey {
  const layout = layOut(schema)
  const { targets, findings } = resolved(layout)
  const { nodes, root } = layout
  const target = (node: SchemaNode, keyword: string) => targets.get(innerKey(node, keyword))
  const inner = (node: SchemaNode, keyword: string, ...steps: (string | number)[]): SchemaNode => {
    const found = nodes.get(innerKey(node, keyword, ...steps))
    if (found === undefined) throw new Error(`no schema at ${innerKey(node, keyword, ...steps)}`)
    return found
  }
  const reached = reach(layout, target)
  const own = [...nodes.values()].filter(({ foreign }) => !foreign)
  const about = [...own.flatMap(lint), ...layout.findings, ...findings]
  const judging = new Set([...reached].map(({ path, foreign }) => (foreign ? '' : spellPath('', path))))
  return {
    root,
    reached: [...reached],
    dynamicAnchors: layout.dynamicAnchors,
    findings: [
      ...about.map((finding) => eased(finding, judging)),
      ...circles([...reached], nodes, target),
      ...(own.length > limits.schemas ? [excess(`the schema holds ${own.length} schemas; the limit is ${limits.schemas}`)] : []),
      ...(targets.size > limits.references
        ? [excess(`the schema holds ${targets.size} references; the limit is ${limits.references}`)]
        : []),
    ],
    target,
    inner,
  }
}

/** A finding's path ends at the schema in question, or one or two steps below it: at a keyword, or at a name in one. */
function eased(finding: Finding, judging: ReadonlySet<string>): Finding {
  if (finding.weight !== 'Unusable') return finding
  const { path } = finding
  const judges = [0, 1, 2].some((up) => path.length >= up && judging.has(spellPath('', path.slice(0, path.length - up))))
  return judges ? finding : { ...finding, weight: 'Refused' }
}

function resolved(layout: Layout): { readonly targets: ReadonlyMap<string, Target>; readonly findings: readonly Finding[] } {
  const targets = new Map<string, Target>()
  const findings: Finding[] = []
  const declarers = (name: string) => [...layout.dynamicAnchors.values()].filter((names) => names.has(name)).length
  const dynamic: { readonly key: string; readonly name: string; readonly node: SchemaNode }[] = []
  // Targets of references are laid out only now, and may hold references in turn: the map grows while it is iterated.
  for (const node of layout.nodes.values()) {
    const { value } = node
    if (typeof value === 'boolean') continue
    for (const keyword of referenceKeywords) {
      const reference = value[keyword]
      if (typeof reference !== 'string') continue
      const found = layout.find(reference, node)
      if (found.kind !== 'Node') {
        findings.push({ path: [...node.path, keyword], weight: 'Unusable', message: unresolved(keyword, reference, found) })
        continue
      }
      const key = innerKey(node, keyword)
      const { node: there, anchor } = found
      targets.set(key, { kind: 'Static', node: there })
      const bookended = isRecord(there.value) && there.value['$dynamicAnchor'] === anchor
      if (keyword === '$dynamicRef' && anchor !== undefined && bookended) dynamic.push({ key, name: anchor, node: there })
    }
  }
  for (const { key, name, node } of dynamic) if (declarers(name) > 1) targets.set(key, { kind: 'Dynamic', name, node })
  return { targets, findings }
}

function unresolved(keyword: string, reference: string, found: { readonly kind: string; readonly resource?: string }): string {
  const said = `${keyword} ${JSON.stringify(clip(reference, 200))}`
  switch (found.kind) {
    case 'Remote':
      return `${said} leads out of the schema, to ${clip(found.resource ?? '', 200)}, and nothing is fetched: copy that schema into $defs, with its $id, or refer to "#/$defs/name"`
    case 'Missing':
      return `${said} leads to no schema: correct it, or add the schema that it names; "#/$defs/name", for example, needs name below $defs at the top of the schema`
    default:
      return `${said} is no reference that can be followed from here: write one such as "#/$defs/name"`
  }
}

function reach(layout: Layout, target: Survey['target']): ReadonlySet<SchemaNode> {
  const reached = new Set([layout.root])
  for (const node of reached) {
    if (typeof node.value === 'boolean') continue
    for (const { key, path } of innerOf(node)) {
      const keyword = String(path[node.path.length])
      const inner = layout.nodes.get(key)
      if (inner !== undefined && !shelves.has(keyword)) reached.add(inner)
    }
    for (const keyword of referenceKeywords) {
      const found = target(node, keyword)
      if (found === undefined) continue
      reached.add(found.node)
      if (found.kind !== 'Dynamic') continue
      for (const names of layout.dynamicAnchors.values()) {
        const there = layout.nodes.get(names.get(found.name) ?? '')
        if (there !== undefined) reached.add(there)
      }
    }
  }
  return reached
}

/** Schemas that judge the same value endlessly: through references and keywords that judge in place, without descending. */
function circles(reached: readonly SchemaNode[], nodes: Layout['nodes'], target: Survey['target']): Finding[] {
  const next = (node: SchemaNode): SchemaNode[] => {
    if (typeof node.value === 'boolean') return []
    const inside = innerOf(node).filter(({ path }) => inPlace.has(String(path[node.path.length])))
    const referred = referenceKeywords.map((keyword) => target(node, keyword))
    return [
      ...inside.flatMap(({ key }) => nodes.get(key) ?? []),
      ...referred.flatMap((found) => (found?.kind === 'Static' ? [found.node] : [])),
    ]
  }
  const finished = new Set<SchemaNode>()
  for (const start of reached) {
    const way = new Set<SchemaNode>()
    const open: { readonly node: SchemaNode; readonly rest: SchemaNode[] }[] = []
    const enter = (node: SchemaNode): boolean => {
      if (way.has(node)) return false
      if (!finished.has(node)) {
        way.add(node)
        open.push({ node, rest: next(node) })
      }
      return true
    }
    enter(start)
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const onward = top.rest.pop()
      if (onward === undefined) {
        open.pop()
        way.delete(top.node)
        finished.add(top.node)
      } else if (!enter(onward)) return [circle([...way], onward)]
    }
  }
  return []
}

function circle(way: readonly SchemaNode[], again: SchemaNode): Finding {
  const round = way.slice(way.indexOf(again))
  const places = round.slice(0, 5).map(({ path }) => spellPath('schema', path))
  const shown = clip([...places, ...(round.length > 5 ? ['…'] : []), spellPath('schema', again.path)].join(' → '), 500)
  return {
    path: again.path,
    weight: 'Refused',
    message: `the schema leads back to itself for one and the same value, without end: ${shown}: refer to it from below properties or items`,
  }
}
