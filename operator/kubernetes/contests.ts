/**
 * Writers that undo our writes. One change by others is mended: somebody tried something by hand. Who does it again and again, an
 * autoscaler or a policy's controller, would have us write for ever, so it is reported, and left alone but for a try each five minutes.
 *
 *   at peace ──undone three times within five minutes──▶ contested ──five minutes without a change──▶ one more write
 *                                                            ▲                                            │
 *                                                            └───────────── undone within the hour ───────┘
 */
import type { KubernetesObject, ManagedFieldsEntry } from './objects.ts'

export interface Contests {
  /** A write of ours to `id` was changed back, by that writer. */
  undone(id: string, writer: string, nowMs: number): void
  /** Who contests it, while nothing should be written; undefined: nobody. */
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
      // Once contested, the last few stay for an hour: one more is enough.
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

/** So many within five minutes of each other, the last of them within the hour. */
function contested(held: readonly Change[], nowMs: number): boolean {
  const [first] = held.slice(-mostChanges)
  const last = held.at(-1)
  if (held.length < mostChanges || first === undefined || last === undefined) return false
  return nowMs - last.atMs < rememberedMs
}

/** The last writer of a field that is not ours: `kubectl-edit`, `kube-controller-manager through scale`. */
export function writerOf({ metadata }: KubernetesObject, path: readonly string[], ours: readonly string[]): string {
  const owners = (metadata.managedFields ?? []).filter((entry) => !isOurs(entry, ours) && owns(entry, path))
  return nameOf(newest(owners))
}

/** Who lost fields to a forced apply of ours, by the object before it and after. */
export function losersOf(before: KubernetesObject, after: KubernetesObject, ours: readonly string[]): string | undefined {
  const kept = new Map((after.metadata.managedFields ?? []).map((entry) => [idOf(entry), JSON.stringify(entry.fieldsV1)]))
  const lost = (before.metadata.managedFields ?? []).filter(
    (entry) => !isOurs(entry, ours) && kept.get(idOf(entry)) !== JSON.stringify(entry.fieldsV1),
  )
  return lost.length === 0 ? undefined : nameOf(newest(lost))
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
