/**
 * Server-side apply of exactly the fields we own, and only when something has changed.
 *
 * The API server merges an apply into any object of that name, also another owner's. A cache filtered by our label does not hold objects
 * of others. So the first apply of a name in this process creates the object and touches no other, or reads the live object and judges its
 * owner (firstapply.ts). Later applies carry the object's uid, so that the server refuses to touch a namesake.
 *
 * lastapplies.ts keeps each apply and its result. The same content is not sent again over an object that no other writer has
 * changed. After a restart the object's own stamp serves instead (drift.ts).
 */
import { createHash } from 'node:crypto'
import { failure } from '../../api/errors.ts'
import { type Clock, systemClock } from '../../process/clock.ts'
import { isOwnedBy } from './adoption.ts'
import { createContests, losersOf, unknownWriter } from './contests.ts'
import { isAsApplied, stamped } from './drift.ts'
import { isFailure } from './errors.ts'
import { createFirstApply } from './firstapply.ts'
import { changedSince, createLastApplies, type Entry, stampOf } from './lastapplies.ts'
import { readLive } from './live.ts'
import { compareVersions, type KubernetesObject, keyOf, type OwnerReference, type ResourceType } from './objects.ts'
import { type ApplyStage, serverSideApply } from './serversideapply.ts'
import type { Transport } from './transport.ts'

interface ApplyRequest {
  readonly type: ResourceType
  readonly desired: KubernetesObject
  readonly owner: OwnerReference
  /** The object as last watched; undefined: it was not seen yet. */
  readonly cached: KubernetesObject | undefined
  /**
   * Requests that make it so, given what is to be applied and the live object (undefined: absent) at a first apply. Default: one,
   * as the main manager.
   */
  readonly stages?: (desired: KubernetesObject, live: KubernetesObject | undefined) => readonly ApplyStage[]
}

type ApplyOutcome =
  /** Nothing was sent: the object is as it should be. */
  | { readonly kind: 'Skipped' }
  | {
      readonly kind: 'Applied'
      readonly object: KubernetesObject
      readonly created: boolean
      /** The object had lost its owner. */
      readonly adopted: boolean
    }

export interface Applier {
  /**
   * Throws NameTaken if the name belongs to another owner, and BeingDeleted if the object is being deleted. Throws Contended if another
   * operator changes the object back, and FieldsContended if another writer does. It also throws the transport's errors.
   */
  apply(request: ApplyRequest, signal: AbortSignal): Promise<ApplyOutcome>
  /** The object was deleted: its next apply starts from the live state again. */
  forget(type: ResourceType, key: string, uid: string | undefined): void
  /** The API server went back to an earlier state: the next apply of each object starts from the live state. */
  forgetAll(): void
}

export function createApplier(transport: Transport, manager: string, clock: Pick<Clock, 'now'> = systemClock): Applier {
  const lastApplies = createLastApplies()
  const contests = createContests()
  const first = createFirstApply(transport, manager)
  const idOf = (type: ResourceType, key: string) => `${type.apiVersion}/${type.plural}/${key}`

  /** The last apply, as far as it still holds. */
  function remembered(id: string, { cached, owner }: ApplyRequest): Entry | undefined {
    const entry = lastApplies.get(id)
    // A new owner of the same name starts anew: the children of its predecessor have to be judged.
    if (entry?.ownerUid !== owner.uid) return undefined
    const isNews = cached !== undefined && compareVersions(cached.metadata.resourceVersion ?? '', entry.resourceVersion) > 0
    return isNews && !isOwnedBy(cached, owner) ? undefined : entry
  }

  /** Throws if another process of ours keeps applying other content over our applies. */
  function refuseContest(id: string, { uid, hash }: Entry, { cached, type }: ApplyRequest): void {
    const stamp = cached?.metadata.uid === uid ? stampOf(cached) : undefined
    if (stamp === undefined || stamp === hash || !lastApplies.contested(id, clock.now())) return
    throw failure('Contended', { kind: type.kind, name: cached?.metadata.name ?? '' })
  }

  /** Throws while another writer keeps changing our fields: the object is left to that writer until it stops. */
  function refuseFight(id: string, { type, desired }: ApplyRequest): void {
    const writer = contests.standing(id, clock.now())
    if (writer === undefined) return
    throw failure('FieldsContended', { kind: type.kind, name: desired.metadata.name ?? '', writer })
  }

  /** Notes another writer's change if this apply reverted one. */
  function noteFight(id: string, before: KubernetesObject | undefined, after: KubernetesObject): void {
    if (before === undefined || before.metadata.uid !== after.metadata.uid) return
    const loser = losersOf(before, after, [manager])
    const written = (object: KubernetesObject) =>
      object.metadata.managedFields?.find((entry) => entry.manager === manager && entry.operation === 'Apply')?.time
    if (loser !== undefined || written(before) !== written(after)) contests.undone(id, loser ?? unknownWriter, clock.now())
  }

  return {
    async apply(request, signal) {
      const { type, desired, owner, cached } = request
      const id = idOf(type, keyOf(desired))
      const hash = contentHash(desired)
      const entry = remembered(id, request)
      const isChanged = entry !== undefined && changedSince(entry, cached, desired)
      if (entry !== undefined && !isChanged && entry.hash === hash) return { kind: 'Skipped' }
      if (entry !== undefined && isChanged) {
        refuseContest(id, entry, request)
        refuseFight(id, request)
      }
      // If our content is that of before, another writer made the difference: the state before the apply shows it.
      const before = isChanged && entry.hash === hash ? await readLive(transport, request, signal) : undefined
      if (entry === undefined && cached !== undefined && isOwnedBy(cached, owner) && isAsApplied(cached, desired, hash)) {
        lastApplies.note(id, cached, owner, hash)
        return { kind: 'Skipped' }
      }

      const whole = stamped(desired, hash)
      const single = [{ manager, object: whole }]
      const stagesFor = (live: KubernetesObject | undefined) => request.stages?.(whole, live) ?? single
      const begun = entry === undefined ? await first.begin(id, request, stagesFor, signal) : undefined
      let uid = entry?.uid ?? begun?.object?.metadata.uid
      let object = begun?.object ?? desired
      try {
        for (const stage of begun?.left ?? single) {
          const body = uid === undefined ? stage.object : withUid(stage.object, uid)
          object = await serverSideApply(transport, type, body, stage.manager, signal)
          uid = object.metadata.uid
        }
      } catch (thrown) {
        // The name has another object now, or the server's view moved on: look at the live state first next time.
        if (isFailure(thrown, 'KubernetesConflict') || isFailure(thrown, 'KubernetesNotFound')) lastApplies.forget(id)
        throw thrown
      }
      noteFight(id, before, object)
      lastApplies.note(id, object, owner, hash)
      return { kind: 'Applied', object, created: begun?.created ?? false, adopted: begun?.adopted ?? false }
    },
    forget(type, key, uid) {
      const id = idOf(type, key)
      if (uid !== undefined && lastApplies.get(id)?.uid !== uid) return
      lastApplies.drop(id)
      contests.drop(id)
      first.forget(id)
    },
    forgetAll() {
      lastApplies.clear()
      contests.clear()
      first.clear()
    },
  }
}

function withUid(object: KubernetesObject, uid: string): KubernetesObject {
  return { ...object, metadata: { ...object.metadata, uid } }
}

/** Of the JSON form with keys sorted, so that the order of construction does not matter. */
function contentHash(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('base64url')
}

export function canonicalJson(value: unknown, indent?: number): string {
  return JSON.stringify(sorted(value), undefined, indent)
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(sorted)
  const names = Object.keys(value).sort()
  return Object.fromEntries(names.map((name) => [name, sorted((value as Record<string, unknown>)[name])]))
}
