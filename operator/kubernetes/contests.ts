/**
 * Writers that undo our writes. A single change is reverted: it was an attempt by hand. An autoscaler or the controller of a policy
 * repeats its change, and we would write for ever. Such a writer is reported, and we write once in five minutes at most.
 *
 *   at peace ──undone three times within five minutes──▶ contested ──five minutes without a change──▶ one more write
 *                                                            ▲                                            │
 *                                                            └───────────── undone within the hour ───────┘
 */
import { isRecord } from '../../api/validation/problem.ts'
import type { KubernetesObject, ManagedFieldsEntry } from './objects.ts'

interface Contests {
  /** That writer changed back our write to `id`. */
  undone(id: string, writer: string, nowMs: number): void
  /** The writer that contests `id`, while no write is due. Undefined: none. */
  standing(id: string, nowMs: number): string | undefined
  drop(id: string): void
  clear(): void
}

interface Change {
  readonly atMs: number
  readonly writer: string
}

const mostChanges = 3
const withinMs = 300_000
const rememberedMs = 3_600_000
export const unknownWriter = 'another writer'

export function createContests(): Contests {
  const changes = new Map<string, readonly Change[]>()
  return {
    undone(id, writer, nowMs) {
      const held = (changes.get(id) ?? []).filter(({ atMs }) => nowMs - atMs < withinMs)
      const wasContested = contested(changes.get(id) ?? [], nowMs)
      // Once contested, the last changes stay for an hour: a single further change contests it again.
      const kept = wasContested ? (changes.get(id) ?? []) : held
      changes.set(id, [...kept, { atMs: nowMs, writer }].slice(-mostChanges))
    },
    standing(id, nowMs) {
      const held = changes.get(id) ?? []
      const last = held.at(-1)
      if (last === undefined || !contested(held, nowMs) || nowMs - last.atMs >= withinMs) return undefined
      return held.findLast(({ writer }) => writer !== unknownWriter)?.writer ?? last.writer
    },
    drop: (id) => void changes.delete(id),
    clear: () => changes.clear(),
  }
}

/** Three changes within five minutes, the last of them within the hour. */
function contested(held: readonly Change[], nowMs: number): boolean {
  const [first] = held.slice(-mostChanges)
  const last = held.at(-1)
  if (held.length < mostChanges || first === undefined || last === undefined) return false
  return nowMs - last.atMs < rememberedMs
}

/** The last writer of that field besides us: `kubectl-edit`, `kube-controller-manager through scale`. */
export function writerOf({ metadata }: KubernetesObject, path: readonly string[], ours: readonly string[]): string {
  const owners = (metadata.managedFields ?? []).filter((entry) => !isOurs(entry, ours) && owns(entry, path))
  return nameOf(newest(owners))
}

/** The writer that lost fields to our forced apply, by the object before and after it. */
export function losersOf(before: KubernetesObject, after: KubernetesObject, ours: readonly string[]): string | undefined {
  const kept = new Map((after.metadata.managedFields ?? []).map((entry) => [idOf(entry), entry.fieldsV1]))
  const lost = (before.metadata.managedFields ?? []).filter(
    (entry) => !isOurs(entry, ours) && entry.subresource !== 'status' && !includes(kept.get(idOf(entry)), entry.fieldsV1),
  )
  return lost.length === 0 ? undefined : nameOf(newest(lost))
}

/** Whether each field is still there. A writer may have added others at the same time. */
function includes(fields: unknown, expected: unknown): boolean {
  if (expected === undefined) return true
  if (!isRecord(expected)) return fields === expected
  return isRecord(fields) && Object.entries(expected).every(([key, inner]) => includes(fields[key], inner))
}

const idOf = ({ manager = '', operation = '', subresource = '' }: ManagedFieldsEntry) => `${manager} ${operation} ${subresource}`
const isOurs = ({ manager = '' }: ManagedFieldsEntry, ours: readonly string[]) => ours.includes(manager)

function owns({ fieldsV1 }: ManagedFieldsEntry, path: readonly string[]): boolean {
  const found = path.reduce<unknown>((value, part) => (value as Readonly<Record<string, unknown>> | undefined)?.[part], fieldsV1)
  return found !== undefined
}

function newest(entries: readonly ManagedFieldsEntry[]): ManagedFieldsEntry | undefined {
  return entries.toSorted((a, b) => ((a.time ?? '') < (b.time ?? '') ? 1 : -1))[0]
}

function nameOf(entry: ManagedFieldsEntry | undefined): string {
  if (entry?.manager === undefined) return unknownWriter
  return entry.subresource === undefined || entry.subresource === ''
    ? entry.manager
    : `${entry.manager} through ${entry.subresource}`
}
