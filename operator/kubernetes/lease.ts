/** A Lease of coordination.k8s.io/v1, and the pure functions over it. */
import { compareVersions, type KubernetesObject, type ResourceType } from './objects.ts'

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
export interface SeenLease {
  readonly lease: Lease
  readonly changedAtMs: number
}

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

/** The wanted Lease. */
interface Claim {
  readonly namespace: string
  readonly name: string
  /** Its holder. */
  readonly identity: string
  readonly leaseMs: number
  /** Of a Lease that is created. */
  readonly labels?: Readonly<Record<string, string>>
}

/** The Lease with this holder. A Lease that it held already keeps its time of acquisition. */
export function claimed(before: Lease | undefined, claim: Claim, wall: Date): Lease {
  const { namespace, name, identity, leaseMs, labels } = claim
  const now = microTime(wall)
  const mine = before?.spec?.holderIdentity === identity
  return {
    apiVersion: leaseType.apiVersion,
    kind: leaseType.kind,
    metadata: before?.metadata ?? { name, namespace, ...(labels && { labels }) },
    spec: {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseMs / 1000),
      acquireTime: mine ? (before.spec?.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: (before?.spec?.leaseTransitions ?? -1) + (mine ? 0 : 1),
    },
  }
}

/** The Lease without a holder: another process may take it at once. */
export function released(lease: Lease, wall: Date): Lease {
  const now = microTime(wall)
  return { ...lease, spec: { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, acquireTime: now, renewTime: now } }
}
