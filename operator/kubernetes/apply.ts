/**
 * Server-side apply of exactly the fields we own, and only when there is something to say.
 *
 * The API server merges an apply into whatever object bears the name, a stranger's too, and has no create-only form of it. So
 * the first apply of a name in this process reads the live object (a cache filtered by our label cannot see strangers) and
 * refuses what another owner controls. From then on the object's uid goes along, which makes the server refuse to touch a
 * namesake, and what the last apply said and got is remembered: the same content over an object that nobody changed since is
 * not sent again. After a restart the object itself tells (drift.ts). `generation` tells whether somebody changed it (status writes do not count), `resourceVersion` where a kind
 * has no generation.
 */
import { createHash } from 'node:crypto'
import { failure, type StreamPipelineError } from '../../api/errors.ts'
import { isAsApplied, stamped } from './drift.ts'
import { isFailure } from './errors.ts'
import {
  compareVersions,
  controllerOf,
  type KubernetesObject,
  keyOf,
  type OwnerReference,
  type ResourceType,
  resourcePath,
} from './objects.ts'
import type { Transport } from './transport.ts'

/** One request of an apply: some kinds are created in more than one, under more than one field manager. */
export interface ApplyStage {
  readonly manager: string
  readonly object: KubernetesObject
}

interface ApplyRequest {
  readonly type: ResourceType
  readonly desired: KubernetesObject
  readonly owner: OwnerReference
  /** What the watch last said of the object; undefined: nothing yet. */
  readonly cached: KubernetesObject | undefined
  /**
   * Requests that make it so, given what is to be applied and the live object (undefined: absent) at a first apply. Default: one,
   * as the main manager.
   */
  readonly stages?: (desired: KubernetesObject, live: KubernetesObject | undefined) => readonly ApplyStage[]
}

type ApplyOutcome =
  | { readonly kind: 'Skipped' }
  | { readonly kind: 'Applied'; readonly object: KubernetesObject; readonly created: boolean }

export interface Applier {
  /** Throws NameTaken when the name belongs to somebody else, else the transport's errors. */
  apply(request: ApplyRequest, signal: AbortSignal): Promise<ApplyOutcome>
  /** The object was deleted: its next apply starts from the live state again. */
  forget(type: ResourceType, key: string, uid: string | undefined): void
}

interface Memory {
  readonly ownerUid: string
  readonly hash: string
  readonly uid: string
  readonly resourceVersion: string
  readonly generation: number | undefined
}

export function createApplier(transport: Transport, manager: string): Applier {
  const memories = new Map<string, Memory>()
  const idOf = (type: ResourceType, key: string) => `${type.apiVersion}/${type.plural}/${key}`

  async function readLive(request: ApplyRequest, signal: AbortSignal): Promise<KubernetesObject | undefined> {
    const { metadata } = request.desired
    try {
      const path = resourcePath(request.type, metadata.namespace, metadata.name)
      return (await transport.request({ method: 'GET', path, signal })) as KubernetesObject
    } catch (thrown) {
      if (isFailure(thrown, 'KubernetesNotFound')) return undefined
      throw thrown
    }
  }

  return {
    async apply(request, signal) {
      const { type, desired, owner, cached } = request
      const id = idOf(type, keyOf(desired))
      const hash = contentHash(desired)
      const remembered = memories.get(id)
      // A namesake of a deleted owner starts anew: its predecessor's children are not its own.
      const memory = remembered?.ownerUid === owner.uid ? remembered : undefined
      if (memory !== undefined && memory.hash === hash && !changedSince(memory, cached)) return { kind: 'Skipped' }
      if (memory === undefined && cached !== undefined && isOwnedBy(cached, owner) && isAsApplied(cached, desired, hash)) {
        memories.set(id, memoryOf(cached, owner, hash))
        return { kind: 'Skipped' }
      }

      let live: KubernetesObject | undefined
      if (memory === undefined) {
        live = await readLive(request, signal)
        if (live !== undefined && !isOwnedBy(live, owner)) throw taken(live, type, owner)
      }
      const whole = stamped(desired, hash)
      const single = [{ manager, object: whole }]
      const stages = memory === undefined ? (request.stages?.(whole, live) ?? single) : single
      let uid = memory?.uid ?? live?.metadata.uid
      let object = desired
      try {
        for (const stage of stages) {
          object = await serverSideApply(
            transport,
            type,
            uid === undefined ? stage.object : withUid(stage.object, uid),
            stage.manager,
            signal,
          )
          uid = object.metadata.uid
        }
      } catch (thrown) {
        // The name has another object now, or the server's view moved on: look at the live state first next time.
        if (isFailure(thrown, 'KubernetesConflict') || isFailure(thrown, 'KubernetesNotFound')) memories.delete(id)
        throw thrown
      }
      memories.set(id, memoryOf(object, owner, hash))
      return { kind: 'Applied', object, created: memory === undefined && live === undefined }
    },
    forget(type, key, uid) {
      const id = idOf(type, key)
      if (uid === undefined || memories.get(id)?.uid === uid) memories.delete(id)
    },
  }
}

/** `object` must hold every field that `manager` wants to own, and nothing else. */
export async function serverSideApply(
  transport: Transport,
  type: ResourceType,
  object: KubernetesObject,
  manager: string,
  signal: AbortSignal,
  subresource?: string,
): Promise<KubernetesObject> {
  return (await transport.request({
    method: 'PATCH',
    path: resourcePath(type, object.metadata.namespace, object.metadata.name, subresource),
    // What the server would warn of nobody reads: whether its schema knows our fields is checked apart (compatibility.ts).
    query: { fieldManager: manager, force: true, fieldValidation: 'Ignore' },
    contentType: 'application/apply-patch+yaml',
    body: object,
    signal,
  })) as KubernetesObject
}

/** A cache that is behind our own last write says nothing about others. */
function changedSince(memory: Memory, cached: KubernetesObject | undefined): boolean {
  if (cached === undefined) return false
  const { resourceVersion = '', generation, uid } = cached.metadata
  if (compareVersions(resourceVersion, memory.resourceVersion) <= 0) return false
  if (uid !== memory.uid) return true
  return memory.generation === undefined ? resourceVersion !== memory.resourceVersion : generation !== memory.generation
}

function memoryOf({ metadata }: KubernetesObject, owner: OwnerReference, hash: string): Memory {
  const { uid = '', resourceVersion = '', generation } = metadata
  return { ownerUid: owner.uid, hash, uid, resourceVersion, generation }
}

function isOwnedBy(object: KubernetesObject, owner: OwnerReference): boolean {
  return object.metadata.ownerReferences?.some((reference) => reference.uid === owner.uid) === true
}

function taken(live: KubernetesObject, type: ResourceType, owner: OwnerReference): StreamPipelineError {
  const controller = controllerOf(live)
  const other =
    controller === undefined
      ? 'somebody else (no controller is named in it)'
      : controller.kind === owner.kind && controller.name === owner.name
        ? `an earlier ${owner.kind} ${owner.name} that was deleted`
        : `${controller.kind} ${controller.name}`
  return failure('NameTaken', { kind: type.kind, name: live.metadata.name ?? '', owner: other })
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
