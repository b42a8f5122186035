/**
 * Leader election over a Lease, as client-go does it. The holder renews the Lease every `retryMs`. A standby may take it after a whole
 * lease duration without a change. Only times of our own clock count, never those written in the Lease, so that skewed clocks cannot make
 * two leaders. The Lease gives no fencing. Hence a leader that has not renewed for `renewDeadlineMs` stops working well before another
 * may start.
 *
 *   Following ──taken──▶ Leading ──deadline or taken by another──▶ Following
 *                           └──told to stop──▶ (work ends, still renewing) ──▶ Released
 *
 * A watch wakes a standby when a leader releases the Lease, so a clean handover takes milliseconds. A crashed leader's Lease can be taken
 * one duration after its last renewal was seen.
 *
 * The Lease is renewed every other second, so it shows first that an etcd was restored from a backup: the version now read is older than
 * one seen before (`onRewound`).
 */
import { asFailure, type StreamPipelineError } from '../../api/errors.ts'
import type { Clock } from '../../process/clock.ts'
import { pause } from '../../process/pause.ts'
import { isFailure } from './errors.ts'
import { compareVersions, type KubernetesObject, type ResourceType, resourcePath } from './objects.ts'
import { createReflector, type Reflector } from './reflector.ts'
import { createStore } from './store.ts'
import type { Transport } from './transport.ts'

export const leaseType: ResourceType = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', plural: 'leases' }

interface LeaseSpec {
  readonly holderIdentity?: string
  readonly leaseDurationSeconds?: number
  readonly acquireTime?: string
  readonly renewTime?: string
  readonly leaseTransitions?: number
}

export interface Lease extends KubernetesObject {
  readonly spec?: LeaseSpec
}

/** The Lease as this process has seen it change, by its own clock. */
interface SeenLease {
  readonly lease: Lease
  readonly changedAtMs: number
}

interface ElectorOptions {
  readonly transport: Transport
  readonly clock: Clock
  readonly namespace: string
  readonly name: string
  /** Unique per process: pod name and something random. */
  readonly identity: string
  readonly leaseMs?: number
  readonly renewDeadlineMs?: number
  readonly retryMs?: number
  readonly onFault?: (error: StreamPipelineError) => void
  /** The API server went back to an earlier state: anything seen before may no longer exist. */
  readonly onRewound?: () => void
}

export interface Elector {
  /**
   * Runs `lead` whenever this process holds the Lease, until `stop` aborts; then lets `lead` finish, releases and resolves.
   * `lead` gets two signals: `stop` asks for an orderly end, `cut` (the Lease is lost) for an immediate one.
   */
  run(stop: AbortSignal, lead: (stop: AbortSignal, cut: AbortSignal) => Promise<void>): Promise<void>
}

const releaseMs = 2_000

/** Kubernetes' MicroTime demands exactly six fractional digits; JavaScript gives three. */
export function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z')
}

/**
 * Notes a Lease that was read; an unchanged one keeps the time at which it was first seen so. An answer that the watch has overtaken is
 * no news: it would hide that the leader has let go.
 */
export function see(seen: SeenLease | undefined, lease: Lease, nowMs: number): SeenLease {
  const [before = '', now = ''] = [seen?.lease.metadata.resourceVersion, lease.metadata.resourceVersion]
  return seen !== undefined && compareVersions(now, before) <= 0 ? seen : { lease, changedAtMs: nowMs }
}

/** Milliseconds until this Lease may be taken by another; 0: now. */
export function takeableInMs(seen: SeenLease, nowMs: number): number {
  const { holderIdentity = '', leaseDurationSeconds = 0 } = seen.lease.spec ?? {}
  return holderIdentity === '' ? 0 : Math.max(0, seen.changedAtMs + leaseDurationSeconds * 1000 - nowMs)
}

export function createElector(options: ElectorOptions): Elector {
  const { transport, clock, namespace, name, identity } = options
  const { leaseMs = 15_000, renewDeadlineMs = 10_000, retryMs = 2_000, onFault = () => {}, onRewound = () => {} } = options
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

  function claim(before: Lease | undefined): Lease {
    const now = microTime(clock.wall())
    const mine = before?.spec?.holderIdentity === identity
    return {
      apiVersion: leaseType.apiVersion,
      kind: leaseType.kind,
      metadata: before === undefined ? { name, namespace } : before.metadata,
      spec: {
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(leaseMs / 1000),
        acquireTime: mine ? (before.spec?.acquireTime ?? now) : now,
        renewTime: now,
        leaseTransitions: (before?.spec?.leaseTransitions ?? -1) + (mine ? 0 : 1),
      },
    }
  }

  /** The newest that is known. */
  async function read(signal: AbortSignal): Promise<Lease | undefined> {
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
  }

  async function write(lease: Lease, signal: AbortSignal): Promise<void> {
    const create = lease.metadata.resourceVersion === undefined
    const request = create
      ? ({ method: 'POST', path: resourcePath(leaseType, namespace) } as const)
      : ({ method: 'PUT', path } as const)
    note((await transport.request({ ...request, body: lease, signal })) as Lease)
  }

  /** True when the Lease is ours now. Losing a race is not a fault. */
  async function acquire(signal: AbortSignal): Promise<boolean> {
    const lease = await read(signal)
    const isMine = lease?.spec?.holderIdentity === identity
    if (lease !== undefined && !isMine && seen !== undefined && takeableInMs(seen, clock.now()) > 0) return false
    try {
      await write(claim(lease), signal)
      return true
    } catch (thrown) {
      if (!isFailure(thrown, 'KubernetesConflict')) throw thrown
      // Changed meanwhile; or what is known is of a time after the one to which the server was restored.
      if (seen?.lease === lease) seen = undefined
      return false
    }
  }

  /** Renews until `until` aborts (true) or the Lease is lost (false). */
  async function keep(acquiredAtMs: number, until: AbortSignal): Promise<boolean> {
    let renewedAtMs = acquiredAtMs
    while (!until.aborted) {
      // Before and after the wait: a process that was frozen must not act for another while when it wakes.
      if (clock.now() >= renewedAtMs + renewDeadlineMs) return false
      await pause(Math.min(retryMs, renewedAtMs + renewDeadlineMs - clock.now()), until, clock.after)
      if (until.aborted) break
      const startedMs = clock.now()
      const remainingMs = renewedAtMs + renewDeadlineMs - startedMs
      if (remainingMs <= 0) return false
      const deadline = new AbortController()
      const cancel = clock.after(remainingMs, () => deadline.abort())
      try {
        if (seen === undefined || seen.lease.spec?.holderIdentity !== identity) {
          const lease = await read(deadline.signal)
          if (lease !== undefined && lease.spec?.holderIdentity !== identity) return false
        }
        await write(claim(seen?.lease), deadline.signal)
        renewedAtMs = startedMs
      } catch (thrown) {
        if (isFailure(thrown, 'KubernetesConflict')) seen = undefined
        if (!deadline.signal.aborted) onFault(asFailure(thrown))
      } finally {
        cancel()
      }
    }
    return true
  }

  async function release(): Promise<void> {
    const lease = seen?.lease
    if (lease?.spec?.holderIdentity !== identity) return
    const now = microTime(clock.wall())
    const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, acquireTime: now, renewTime: now }
    const deadline = new AbortController()
    const cancel = clock.after(releaseMs, () => deadline.abort())
    try {
      await write({ ...lease, spec }, deadline.signal)
    } catch (thrown) {
      // Best effort: without it the others wait for the lease's duration.
      onFault(asFailure(thrown))
    } finally {
      cancel()
    }
  }

  async function term(acquiredAtMs: number, stop: AbortSignal, lead: Parameters<Elector['run']>[1]): Promise<void> {
    const cut = new AbortController()
    const finished = new AbortController()
    const work = lead(AbortSignal.any([stop, cut.signal]), cut.signal).finally(() => finished.abort())
    const kept = keep(acquiredAtMs, finished.signal).then((held) => {
      if (!held) cut.abort()
    })
    await Promise.all([work, kept])
  }

  return {
    async run(stop, lead) {
      const closing = new AbortController()
      let wake = () => {}
      const store = createStore<Lease>({
        handlers: [
          (change) => {
            if (change.kind === 'Set') note(change.object)
            wake()
          },
        ],
      })
      const fieldSelector = `metadata.name=${name}`
      const part = { transport, clock, type: leaseType, namespace, fieldSelector, onRewound: forget }
      watching = createReflector<Lease>(part, store)
      const watched = watching.run(closing.signal)
      try {
        while (!stop.aborted) {
          const startedMs = clock.now()
          let acquired = false
          try {
            acquired = await acquire(stop)
          } catch (thrown) {
            if (stop.aborted) break
            onFault(asFailure(thrown))
          }
          // An answer that came too late is no term of office: the time counts from before it was asked for.
          if (acquired && clock.now() < startedMs + renewDeadlineMs) {
            await term(startedMs, stop, lead)
            continue
          }
          const nudge = new AbortController()
          wake = () => {
            if (seen !== undefined && takeableInMs(seen, clock.now()) === 0) nudge.abort()
          }
          // The end of a Lease is awaited without jitter: of two that come at once the server refuses one. One that could be taken
          // already was tried for just now.
          const expiresMs = seen === undefined ? 0 : takeableInMs(seen, clock.now())
          const retry = retryMs * (1 + clock.random() / 5)
          await pause(expiresMs > 0 ? Math.min(retry, expiresMs + 1) : retry, AbortSignal.any([stop, nudge.signal]), clock.after)
        }
      } finally {
        wake = () => {}
        await release()
        closing.abort()
        await watched
      }
    },
  }
}
