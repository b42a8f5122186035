/**
 * The live object of a name before its first apply in this process, and the verdict on its owner (adoption.ts). An object that lost its
 * owner is adopted at once.
 */
import { failure } from '../../api/errors.ts'
import { adoptionOf, type Belonging, belongingOf } from './adoption.ts'
import { isFailure } from './errors.ts'
import { type KubernetesObject, type OwnerReference, type ResourceType, resourcePath } from './objects.ts'
import type { Transport } from './transport.ts'

interface Wanted {
  readonly type: ResourceType
  readonly desired: KubernetesObject
  readonly owner: OwnerReference
}

interface Found {
  /** Undefined: the name is free. */
  readonly live: KubernetesObject | undefined
  readonly adopted: boolean
}

export async function readLive(
  transport: Transport,
  { type, desired: { metadata } }: Pick<Wanted, 'type' | 'desired'>,
  signal: AbortSignal,
): Promise<KubernetesObject | undefined> {
  try {
    const path = resourcePath(type, metadata.namespace, metadata.name)
    return (await transport.request({ method: 'GET', path, signal })) as KubernetesObject
  } catch (thrown) {
    if (isFailure(thrown, 'KubernetesNotFound')) return undefined
    throw thrown
  }
}

/** Throws NameTaken if the name belongs to another owner, and BeingDeleted if the object is being deleted. */
export async function findLive(transport: Transport, manager: string, wanted: Wanted, signal: AbortSignal): Promise<Found> {
  const live = await readLive(transport, wanted, signal)
  if (live === undefined) return { live, adopted: false }
  const { type, desired, owner } = wanted
  const belonging: Belonging = belongingOf(live, desired, owner)
  const named = { kind: type.kind, name: live.metadata.name ?? '' }
  switch (belonging.kind) {
    case 'Ours':
      return { live, adopted: false }
    case 'Orphaned':
      return { live: await adopt(transport, manager, wanted, live, signal), adopted: true }
    case 'Leaving':
      throw failure('BeingDeleted', named)
    case 'Strange':
      throw failure('NameTaken', { ...named, owner: belonging.owner })
    default:
      throw belonging satisfies never
  }
}

async function adopt(
  transport: Transport,
  manager: string,
  { type, owner }: Wanted,
  live: KubernetesObject,
  signal: AbortSignal,
): Promise<KubernetesObject> {
  const body = adoptionOf(live, owner, manager)
  if (body === undefined) return live
  const path = resourcePath(type, live.metadata.namespace, live.metadata.name)
  const query = { fieldManager: manager }
  const contentType = 'application/merge-patch+json'
  return (await transport.request({ method: 'PATCH', path, query, body, contentType, signal })) as KubernetesObject
}
