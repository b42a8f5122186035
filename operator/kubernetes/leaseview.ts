/**
 * The knowledge of this process about one Lease: read, written or watched. `forget` leads back to knowing nothing. An answer that is older than a
 * version seen before shows that the API server went back to an earlier state. Then everything is forgotten, and the watch lists anew.
 */
import type { Clock } from '../../process/clock.ts'
import { isFailure } from './errors.ts'
import { type Lease, leaseType, type SeenLease, see } from './lease.ts'
import { compareVersions, resourcePath } from './objects.ts'
import { createReflector, type Reflector } from './reflector.ts'
import { createStore } from './store.ts'
import type { Transport } from './transport.ts'

interface LeaseViewParts {
  readonly transport: Transport
  readonly clock: Clock
  readonly namespace: string
  readonly name: string
  /** The API server went back to an earlier state. */
  readonly onRewound: () => void
}

export interface LeaseView {
  /** Undefined: not known, or no longer trusted. */
  readonly seen: SeenLease | undefined
  /** A write found another version on the server. */
  distrust(): void
  /** The newest that is known; undefined: there is no Lease. */
  read(signal: AbortSignal): Promise<Lease | undefined>
  /** Throws KubernetesConflict if the Lease has changed since it was read. */
  write(lease: Lease, signal: AbortSignal): Promise<void>
  /** Follows the Lease until the signal aborts. `onChange` is called after each change that arrived. */
  watch(signal: AbortSignal, onChange: () => void): Promise<void>
}

export function createLeaseView({ transport, clock, namespace, name, onRewound }: LeaseViewParts): LeaseView {
  const path = resourcePath(leaseType, namespace, name)
  let seen: SeenLease | undefined
  /** The newest version ever seen, also when `seen` is no longer trusted. */
  let newest = ''
  let watching: Reflector | undefined

  const note = (lease: Lease): Lease => {
    seen = see(seen, lease, clock.now())
    const { resourceVersion = '' } = lease.metadata
    if (compareVersions(resourceVersion, newest) > 0) newest = resourceVersion
    return seen.lease
  }

  /** @param floor the newest version before the request; an older answer means that the API server went back to an earlier state */
  function doubt(version: string, floor: string): void {
    if (floor === '' || compareVersions(version, floor) >= 0) return
    forget()
    watching?.relist()
  }

  function forget(): void {
    newest = ''
    seen = undefined
    onRewound()
  }

  return {
    get seen() {
      return seen
    },
    distrust() {
      seen = undefined
    },
    async read(signal) {
      const floor = newest
      try {
        const lease = (await transport.request({ method: 'GET', path, signal })) as Lease
        doubt(lease.metadata.resourceVersion ?? '', floor)
        return note(lease)
      } catch (thrown) {
        if (!isFailure(thrown, 'KubernetesNotFound')) throw thrown
        // Deleted, or from a time before its creation.
        doubt('', floor)
        return undefined
      }
    },
    async write(lease, signal) {
      const create = lease.metadata.resourceVersion === undefined
      const request = create
        ? ({ method: 'POST', path: resourcePath(leaseType, namespace) } as const)
        : ({ method: 'PUT', path } as const)
      note((await transport.request({ ...request, body: lease, signal })) as Lease)
    },
    watch(signal, onChange) {
      const store = createStore<Lease>({
        handlers: [
          (change) => {
            if (change.kind === 'Set') note(change.object)
            onChange()
          },
        ],
      })
      const part = { transport, clock, type: leaseType, namespace, fieldSelector: `metadata.name=${name}`, onRewound: forget }
      watching = createReflector<Lease>(part, store)
      return watching.run(signal)
    },
  }
}
