/** Server-side apply of plain objects: which manager owns which field. Lists are owned whole. */
import type { KubernetesObject, ManagedFieldsEntry } from '../../../operator/kubernetes/objects.ts'

type Tree = { readonly [name: string]: Tree }
type Json = Readonly<Record<string, unknown>>

const isMap = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Fields without an owner. */
const identity = ['name', 'namespace', 'uid', 'resourceVersion', 'generation', 'creationTimestamp', 'managedFields']

function ownable(object: KubernetesObject): Json {
  const { apiVersion: _, kind: __, metadata, ...rest } = object as KubernetesObject & { status?: unknown }
  const { status: ___, ...others } = rest
  const kept = Object.fromEntries(Object.entries(metadata).filter(([name]) => !identity.includes(name)))
  return { ...others, ...(Object.keys(kept).length === 0 ? {} : { metadata: kept }) }
}

function treeOf(value: Json): Tree {
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .map(([name, inner]) => [`f:${name}`, isMap(inner) ? treeOf(inner) : {}]),
  )
}

/** The parts of `tree` that `taken` does not have, unless both hold the same value. */
function without(tree: Tree, taken: Json, live: Json): Tree {
  const left = Object.entries(tree).flatMap(([field, inner]): [string, Tree][] => {
    const name = field.slice(2)
    if (!(name in taken)) return [[field, inner]]
    const [mine, theirs] = [live[name], taken[name]]
    if (isMap(mine) && isMap(theirs)) {
      const rest = without(inner, theirs, mine)
      return Object.keys(rest).length === 0 && Object.keys(inner).length > 0 ? [] : [[field, rest]]
    }
    return JSON.stringify(mine) === JSON.stringify(theirs) ? [[field, inner]] : []
  })
  return Object.fromEntries(left)
}

const owns = (trees: readonly Tree[], field: string) => trees.flatMap((tree) => (field in tree ? [tree[field] ?? {}] : []))

/** `live` less what `before` owned, and neither `after` nor `others` own. */
function dropped(live: Json, before: Tree, after: Tree, others: readonly Tree[]): Json {
  return Object.fromEntries(
    Object.entries(live).flatMap(([name, value]): [string, unknown][] => {
      const field = `f:${name}`
      const was = before[field]
      if (was === undefined) return [[name, value]]
      const is = after[field]
      const held = owns(others, field)
      if (isMap(value) && Object.keys(was).length > 0) {
        const rest = dropped(value, was, is ?? {}, held)
        return is === undefined && held.length === 0 && Object.keys(rest).length === 0 ? [] : [[name, rest]]
      }
      return is === undefined && held.length === 0 ? [] : [[name, value]]
    }),
  )
}

export function merged(live: unknown, over: unknown): unknown {
  if (!isMap(over)) return over
  const base = isMap(live) ? live : {}
  return { ...base, ...Object.fromEntries(Object.entries(over).map(([name, value]) => [name, merged(base[name], value)])) }
}

/** As a JSON merge patch: null removes. */
export function patched(live: unknown, patch: unknown): unknown {
  if (!isMap(patch)) return patch
  const result: Record<string, unknown> = { ...(isMap(live) ? live : {}) }
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name]
    else result[name] = patched(result[name], value)
  }
  return result
}

/** The object after an apply with force. */
export function applied(
  live: KubernetesObject | undefined,
  body: KubernetesObject,
  manager: string,
  time: string,
): KubernetesObject {
  const wanted = ownable(body)
  const entries = live?.metadata.managedFields ?? []
  const mine = entries.find((entry) => entry.manager === manager && entry.operation === 'Apply')
  const liveFields = live === undefined ? {} : ownable(live)
  const others = entries
    .filter((entry) => entry !== mine)
    .map((entry) => ({ ...entry, fieldsV1: without((entry.fieldsV1 ?? {}) as Tree, wanted, liveFields) }))
  const tree = treeOf(wanted)
  const trees = others.map(({ fieldsV1 }) => fieldsV1 as Tree)
  const kept = dropped(liveFields, (mine?.fieldsV1 ?? {}) as Tree, tree, trees)
  const { metadata, ...rest } = merged(kept, wanted) as { metadata?: Json }
  const isSame =
    live !== undefined &&
    JSON.stringify(kept) === JSON.stringify(liveFields) &&
    JSON.stringify(merged(kept, wanted)) === JSON.stringify(liveFields)
  const entry: ManagedFieldsEntry = {
    manager,
    operation: 'Apply',
    time: isSame && mine?.time !== undefined ? mine.time : time,
    fieldsV1: tree,
  }
  return {
    ...live,
    ...(body.apiVersion === undefined ? {} : { apiVersion: body.apiVersion }),
    ...(body.kind === undefined ? {} : { kind: body.kind }),
    ...alsoGone(live, rest),
    metadata: { ...identityOf(live ?? body), ...metadata, managedFields: [...others, entry] },
  } as KubernetesObject
}

/** Every field of the old object is in `rest`, or was dropped. */
function alsoGone(live: KubernetesObject | undefined, rest: Json): Json {
  const gone = Object.keys(live === undefined ? {} : ownable(live)).filter((name) => name !== 'metadata' && !(name in rest))
  return { ...rest, ...Object.fromEntries(gone.map((name) => [name, undefined])) }
}

function identityOf({ metadata }: KubernetesObject): Json {
  return Object.fromEntries(Object.entries(metadata).filter(([name]) => identity.includes(name)))
}

/** The object after a plain update of these fields by another writer, who then owns them. */
export function updated(live: KubernetesObject, patch: object, manager: string, time: string): KubernetesObject {
  const after = patched(live, patch) as KubernetesObject
  const changed = ownable({ metadata: {}, ...patch } as KubernetesObject)
  const others = (live.metadata.managedFields ?? [])
    .filter((entry) => entry.manager !== manager)
    .map((entry) => ({ ...entry, fieldsV1: without((entry.fieldsV1 ?? {}) as Tree, changed, ownable(live)) }))
  const entry: ManagedFieldsEntry = { manager, operation: 'Update', time, fieldsV1: treeOf(changed) }
  return { ...after, metadata: { ...after.metadata, managedFields: [...others, entry] } }
}
