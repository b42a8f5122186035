/**
 * Selects the pods that go in a scale-down. The ReplicaSet controller chooses by the state of pods, and does not know their work.
 * `controller.kubernetes.io/pod-deletion-cost` adds that. Before the number is lowered by n, the n pods that are to go get a cost
 * below all others. The pod with the fewest pending entries gets the lowest. So as little work as possible is interrupted, drained
 * and handed back.
 *
 * Cost counts only between pods that are alike in being scheduled, running and ready, in this order (kubernetes/kubernetes,
 * pkg/controller/controller_utils.go, ActivePodsWithRanks). The same order is kept here: a pod that is not ready goes first anyway.
 * All other pods lose their mark: the controller counts a pod without a mark as cost 0. A mark of a decision that was
 * taken back would single out a pod later on.
 */
import type { Observed, PodObject } from './observed.ts'

export const deletionCostAnnotation = 'controller.kubernetes.io/pod-deletion-cost'

interface Marking {
  readonly pod: PodObject
  /** Null: the mark is to go. */
  readonly cost: string | null
}

/**
 * The marks to write on pods before so many replicas are asked for; none where no pod goes or all go.
 * @param current replicas asked for up to now: there may be pods that the cache does not know of yet, and those are not to go
 */
export function markingsOf(
  { pods, observation }: Pick<Observed, 'pods' | 'observation'>,
  replicas: number,
  current = 0,
): readonly Marking[] {
  const active = pods.filter(isActive)
  const going = Math.min(active.length, Math.max(active.length, current) - replicas)
  if (going <= 0 || replicas <= 0) return []
  const sample = observation.kind === 'None' ? undefined : observation.sample
  const pending = new Map((sample?.consumers ?? []).map((consumer) => [consumer.name, consumer.pending]))
  const pendingOf = ({ metadata }: PodObject) => pending.get(metadata.name ?? '') ?? 0
  const ranked = active.toSorted((a, b) => stageOf(a) - stageOf(b) || pendingOf(a) - pendingOf(b) || createdMs(b) - createdMs(a))
  return ranked.flatMap((pod, rank) => {
    const before = pod.metadata.annotations?.[deletionCostAnnotation] ?? null
    const cost = rank < going ? String(rank - going) : null
    return cost === before ? [] : [{ pod, cost }]
  })
}

/** Counted as a replica: neither ended nor on its way out. */
function isActive({ metadata, status }: PodObject): boolean {
  return metadata.deletionTimestamp === undefined && status?.phase !== 'Succeeded' && status?.phase !== 'Failed'
}

/** How far it has come: the less, the sooner it goes. */
function stageOf({ spec, status }: PodObject): number {
  if (!spec?.nodeName) return 0
  if (status?.phase !== 'Running') return status?.phase === 'Unknown' ? 2 : 1
  return status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ? 4 : 3
}

const createdMs = ({ metadata }: PodObject): number => Date.parse(metadata.creationTimestamp ?? '') || 0
