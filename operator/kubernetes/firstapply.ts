/**
 * The first apply of an object in this process. An object that is in the cache is read and judged (live.ts). Any other is created, by an
 * apply that touches no object that exists:
 *
 * An apply that names a `resourceVersion` is refused with a conflict if the live object has another version. An absent object it creates.
 * So a version that no object has makes an apply that only creates. It spares the read before it, and leaves no gap between the two.
 *
 * A refusal means that the name is in use, or may be: then the live object is read, too. The applier does not try
 * to create that name again. Otherwise a pipeline whose names another owner uses would send a write in vain at each try.
 */
import type { ErrorCode } from '../../api/errors.ts'
import { isFailure } from './errors.ts'
import { findLive } from './live.ts'
import type { KubernetesObject, OwnerReference, ResourceType } from './objects.ts'
import { type ApplyStage, serverSideApply } from './serversideapply.ts'
import type { Transport } from './transport.ts'

interface Wanted {
  readonly type: ResourceType
  readonly desired: KubernetesObject
  readonly owner: OwnerReference
  readonly cached: KubernetesObject | undefined
}

/** The first apply, before the stages that are left. */
interface Begun {
  /** Undefined: there is none. */
  readonly object: KubernetesObject | undefined
  readonly created: boolean
  /** The object had lost its owner. */
  readonly adopted: boolean
  readonly left: readonly ApplyStage[]
}

interface FirstApply {
  /** Throws NameTaken, BeingDeleted, and the errors of the requests. */
  begin(
    id: string,
    wanted: Wanted,
    stagesFor: (live: KubernetesObject | undefined) => readonly ApplyStage[],
    signal: AbortSignal,
  ): Promise<Begun>
  /** The object is gone: its name may be free. */
  forget(id: string): void
  clear(): void
}

/** The version of an empty store: the first object has a higher one. */
const noVersion = '1'
/**
 * A conflict is the answer of the API server. Other stores and releases may refuse the version in other words, and the read that follows
 * finds the true cause.
 */
const mayExist: readonly ErrorCode[] = ['KubernetesConflict', 'KubernetesNotFound', 'KubernetesRefused']
/** Beyond this number all names are tried once more. */
const mostKept = 1_000

export function createFirstApply(transport: Transport, manager: string): FirstApply {
  const inUse = new Set<string>()

  /** Undefined: the name is in use, or may be. */
  async function create(id: string, type: ResourceType, { object, manager: by }: ApplyStage, signal: AbortSignal) {
    const only = { ...object, metadata: { ...object.metadata, resourceVersion: noVersion } }
    try {
      return await serverSideApply(transport, type, only, by, signal)
    } catch (thrown) {
      if (!mayExist.some((code) => isFailure(thrown, code))) throw thrown
      if (inUse.size >= mostKept) inUse.clear()
      inUse.add(id)
      return undefined
    }
  }

  return {
    async begin(id, wanted, stagesFor, signal) {
      const [first, ...left] = stagesFor(undefined)
      const isFree = wanted.cached === undefined && !inUse.has(id)
      const object = isFree && first !== undefined ? await create(id, wanted.type, first, signal) : undefined
      if (object !== undefined) return { object, created: true, adopted: false, left }
      const { live, adopted } = await findLive(transport, manager, wanted, signal)
      return { object: live, created: live === undefined, adopted, left: stagesFor(live) }
    },
    forget: (id) => void inUse.delete(id),
    clear: () => inUse.clear(),
  }
}
