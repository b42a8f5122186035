/**
 * What this process last applied, per object: whose it was for, the content, and the version that came of it. It answers two
 * questions of an object in the caches: did somebody change it since, and does somebody change it back again and again.
 *
 * A change shows in `generation` (status writes do not count), in `resourceVersion` where a kind has no generation, and in our own
 * metadata, which moves neither: labels and the reference to the owner.
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

export interface Ledger {
  get(id: string): Entry | undefined
  /** `object` is as it should be: made so, or found so. */
  note(id: string, object: KubernetesObject, owner: OwnerReference, hash: string): void
  /** Its next apply starts from the live state. */
  forget(id: string): void
  /** The object is gone. */
  drop(id: string): void
  /** Nothing that was noted is known to be so any more. */
  clear(): void
  /** Another process with our field manager has just changed it; true: it does so too often. */
  contested(id: string, nowMs: number): boolean
}

/** Two operators answer each other at once; a hand-over between two leaders leaves one such change, at most. */
const mostChanges = 4
const withinMs = 300_000

export function createLedger(): Ledger {
  const entries = new Map<string, Entry>()
  /** When others changed it. */
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
      // While nothing is written back there is no new change.
      if (recent.length >= mostChanges) return true
      changes.set(id, [...recent, nowMs])
      return false
    },
  }
}

export function stampOf({ metadata }: KubernetesObject): string | undefined {
  return metadata.annotations?.[appliedAnnotation]
}

/** A cache that is behind our own last write says nothing about others. */
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

/** Our labels, and the reference to the owner as we write it. What else is there is others'. */
export function hasOwnMetadata({ metadata }: KubernetesObject, { metadata: wanted }: KubernetesObject): boolean {
  const isLabelled = Object.entries(wanted.labels ?? {}).every(([name, value]) => metadata.labels?.[name] === value)
  return (
    isLabelled &&
    (wanted.ownerReferences ?? []).every(
      ({ uid, controller }) =>
        metadata.ownerReferences?.some((each) => each.uid === uid && each.controller === controller) === true,
    )
  )
}
