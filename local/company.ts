/**
 * Consumers of the group that are not of this run: another `up`, a consumer started by hand, a cluster's pods, another program.
 * Each entry goes to one of them all. A user who does not know of them would miss entries.
 */
import { parseIdentity } from '../redis/stream/identity.ts'
import { heartbeatTtlMs } from '../redis/stream/registry.ts'
import type { ConsumerSample, Sample } from '../scaling/sample.ts'
import { age } from './numbers.ts'

export interface Other {
  /** In the group. */
  readonly name: string
  /** Of the process; empty for one that is not registered. */
  readonly uid: string
  /** Since it was heard. */
  readonly idleMs: number
}

/** A name that is not registered is alive if it asked for something lately. */
const strangerIdleMs = 60_000

/** @param ours whether a uid belongs to a process of this run */
export function othersIn({ atMs, consumers }: Sample, ours: (uid: string) => boolean): readonly Other[] {
  return consumers.flatMap((consumer) => {
    if (consumer.uid !== undefined && ours(consumer.uid)) return []
    const idleMs = heardAgo(consumer, atMs)
    return idleMs === undefined ? [] : [{ name: consumer.name, uid: consumer.uid ?? '', idleMs }]
  })
}

/** Undefined for one that seems to be gone. */
function heardAgo({ uid, heartbeat, idleMs }: ConsumerSample, atMs: number): number | undefined {
  if (uid === undefined) return idleMs <= strangerIdleMs ? idleMs : undefined
  if (heartbeat === undefined) return undefined
  const silentMs = Math.max(0, atMs - heartbeat.at)
  return silentMs <= heartbeatTtlMs ? silentMs : undefined
}

const shown = 5

/** `ndvi-1-4f0c2a (local, pid 4711 on host; heard 0.4s ago), …` */
export function describeOthers(others: readonly Other[]): string {
  const named = others.slice(0, shown).map(describeOther)
  return [...named, ...(others.length > shown ? [`and ${others.length - shown} more`] : [])].join(', ')
}

export const describeOther = (other: Other): string => `${other.name} (${whose(other.uid)}; heard ${age(other.idleMs)} ago)`

function whose(uid: string): string {
  const owner = parseIdentity(uid)?.owner
  if (owner === undefined) return "another program's"
  const [, host, pid] = /^local-(.+)-(\d+)-\d+$/.exec(owner) ?? []
  return host === undefined ? `a cluster's, of the StreamPipeline with uid ${owner}` : `local, pid ${pid} on ${host}`
}
