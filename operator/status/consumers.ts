/**
 * Consumers by state, from two views. The cluster shows pods. Redis shows names in the consumer group, with heartbeats. A
 * consumer's name is its pod's name. Names that are not registered as this pipeline's belong to strangers who share the group, and
 * are not counted.
 */

import { printable, printableName } from '../../api/printable.ts'
import type { StreamPipelineStatus } from '../../api/status.ts'
import { parseIdentity } from '../../redis/stream/identity.ts'
import type { ConsumerSample, Sample } from '../../scaling/sample.ts'
import { podType } from '../plan/kinds.ts'
import type { Observed, PodEvents, PodObject } from '../plan/observed.ts'
import { type VanishedConsumer, vanishedLine } from '../plan/vanished.ts'
import { hasEnded } from '../reaping/suspects.ts'
import { roundAge, roundCount } from '../rounding.ts'
import { isLeaving, problemOf } from './pods/problem.ts'

type ConsumersStatus = NonNullable<StreamPipelineStatus['consumers']>

const mostLines = 10
/** Longest line; the schema's bound. */
const mostLine = 512
/** Longest name of a Deployment's pod. It is shown whole, since `kubectl` needs it. Other names in the registry may be of any length. */
const mostPodName = 63

export function consumersStatus(
  { object, pods, podEvents, dark = [] }: Pick<Observed, 'object' | 'pods' | 'podEvents' | 'dark'>,
  sample: Sample | undefined,
  reaped: readonly VanishedConsumer[],
  nowMs: number,
): ConsumersStatus {
  const pipelineUid = object.metadata.uid ?? ''
  const running = pods.filter((pod) => !hasEnded(pod))
  const living = new Set(running.filter((pod) => pod.metadata.deletionTimestamp === undefined).map(nameOf))
  const present = new Set(running.map(nameOf))
  // A pod that was seen before its watch failed may be gone, with its pipeline.
  const isSeen = dark.every(({ kind }) => kind !== podType.kind)
  const ours = (sample?.consumers ?? []).filter(
    (consumer) => isOurs(consumer, pipelineUid) || (isSeen && present.has(consumer.name)),
  )
  const active = ours.filter((consumer) => consumer.heartbeat !== undefined)
  const silent = ours.filter((consumer) => consumer.heartbeat === undefined)
  const stale = silent.filter((consumer) => present.has(consumer.name))
  const vanished = silent.filter((consumer) => !present.has(consumer.name))
  const known = new Set(ours.map((consumer) => consumer.name))
  const starting = [...living].filter((name) => !known.has(name))
  const unhealthy = [
    ...byPending(vanished).map((consumer) => goneLine(consumer, reaped, sample)),
    ...byPending(stale).map((consumer) => line(consumer, 'Stale')),
    ...pods.flatMap((pod) => podLine(pod, nowMs, podEvents?.get(pod.metadata.uid ?? ''))),
  ].slice(0, mostLines)
  return {
    active: active.length,
    starting: starting.length,
    stale: stale.length,
    vanished: vanished.length,
    ...(unhealthy.length === 0 ? {} : { unhealthy }),
  }
}

const nameOf = (pod: PodObject) => pod.metadata.name ?? ''

function isOurs({ uid }: ConsumerSample, pipelineUid: string): boolean {
  return uid !== undefined && parseIdentity(uid)?.owner === pipelineUid
}

function byPending(consumers: readonly ConsumerSample[]): ConsumerSample[] {
  return [...consumers].sort((a, b) => b.pending - a.pending || (a.name < b.name ? -1 : 1))
}

function line(consumer: ConsumerSample, state: string): string {
  const name = printableName(consumer.name, mostPodName)
  return `${name}  ${state}  pending ${roundCount(consumer.pending)}  silent ${roundAge(consumer.idleMs)}`
}

/** The reaper's finding about it, if it had its turn. */
function goneLine(consumer: ConsumerSample, reaped: readonly VanishedConsumer[], sample: Sample | undefined): string {
  const found = reaped.find(({ name }) => name === consumer.name)
  return found === undefined || sample === undefined
    ? line(consumer, 'Vanished')
    : printable(vanishedLine({ ...found, name: printableName(found.name, mostPodName) }, sample), mostLine)
}

function podLine(pod: PodObject, nowMs: number, events: PodEvents | undefined): string[] {
  if (isLeaving(pod)) return []
  const problem = problemOf(pod, nowMs, events)
  // Those that have ended stay listed for long; they are replaced.
  return problem === undefined || problem.reason === 'PodsEnded'
    ? []
    : [printable(`${pod.metadata.name ?? ''}  ${problem.reason}  ${problem.detail}`, mostLine)]
}
