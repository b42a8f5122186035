/**
 * The last apply of this process to each object: its owner, its content, and the resulting version. It answers two questions about
 * an object in the caches. Has another writer changed it since? Does another process with our field manager change it back again and
 * again?
 *
 * A change shows in `generation`, which status writes do not move. It shows in `resourceVersion` for a kind without a generation. Our own
 * metadata, labels, annotations and the owner reference, move neither and are compared.
 */
import { appliedAnnotation } from './drift.ts'
import { compareVersions, type KubernetesObject, type OwnerReference } from './objects.ts'

export interface Entry {
  readonly ownerUid: string
  readonly hash: string
  readonly uid: string
  readonly resourceVersion: string
  readonly generation: number | undefined
}

interface LastApplies {
  get(id: string): Entry | undefined
  /** `object` is as it should be, with or without a write. */
  note(id: string, object: KubernetesObject, owner: OwnerReference, hash: string): void
  /** The next apply of the object starts from the live state. */
  forget(id: string): void
  /** The object is gone. */
  drop(id: string): void
  /** Forgets all notes and changes. */
  clear(): void
  /** Another process with our field manager has just changed the object. True: it does so too often. */
  contested(id: string, nowMs: number): boolean
}

/** Two operators answer each other at once. A handover between two leaders leaves one such change at most. */
const mostChanges = 4
const withinMs = 300_000

export function createLastApplies(): LastApplies {
  const entries = new Map<string, Entry>()
  /** By object: the times at which another process with our field manager changed it. */
  const changes = new Map<string, readonly number[]>()
  return {
    get: (id) => entries.get(id),
    note(id, { metadata }, owner, hash) {
      const { uid = '', resourceVersion = '', generation } = metadata
      entries.set(id, { ownerUid: owner.uid, hash, uid, resourceVersion, generation })
    },
    forget: (id) => void entries.delete(id),
    drop(id) {
      entries.delete(id)
      changes.delete(id)
    },
    clear() {
      entries.clear()
      changes.clear()
    },
    contested(id, nowMs) {
      const recent = (changes.get(id) ?? []).filter((atMs) => nowMs - atMs < withinMs)
      // While we write nothing back, no new change is counted.
      if (recent.length >= mostChanges) return true
      changes.set(id, [...recent, nowMs])
      return false
    },
  }
}

export function stampOf({ metadata }: KubernetesObject): string | undefined {
  return metadata.annotations?.[appliedAnnotation]
}

/** A cache older than our own last write shows nothing about other writers. */
export function changedSince(
  { resourceVersion: last, generation: ours, uid: known }: Entry,
  cached: KubernetesObject | undefined,
  desired: KubernetesObject,
): boolean {
  if (cached === undefined) return false
  const { resourceVersion = '', generation, uid } = cached.metadata
  if (compareVersions(resourceVersion, last) <= 0) return false
  if (uid !== known || !hasOwnMetadata(cached, desired)) return true
  return ours === undefined ? resourceVersion !== last : generation !== ours
}

type Texts = Readonly<Record<string, string>>

const holds = (actual: Texts = {}, wanted: Texts = {}): boolean =>
  Object.entries(wanted).every(([name, value]) => actual[name] === value)

/** Compares our labels, our annotations and our owner reference. Others belong to other writers. */
function hasOwnMetadata({ metadata }: KubernetesObject, { metadata: wanted }: KubernetesObject): boolean {
  return (
    holds(metadata.labels, wanted.labels) &&
    holds(metadata.annotations, wanted.annotations) &&
    (wanted.ownerReferences ?? []).every(
      ({ uid, controller }) =>
        metadata.ownerReferences?.some((each) => each.uid === uid && each.controller === controller) === true,
    )
  )
}
