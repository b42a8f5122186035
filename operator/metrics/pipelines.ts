/** Metrics per pipeline: what Redis shows, what was decided, what its conditions say. Gone with the pipeline. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { conditionTypes, type StreamPipelineStatus } from '../../api/status.ts'
import type { Sample } from '../../scaling/sample.ts'
import { splitKey } from '../kubernetes/objects.ts'
import type { Observation } from '../plan/observed.ts'

export interface PipelineMetrics {
  looked(key: string, observation: Observation, tookMs: number): void
  reported(key: string, status: StreamPipelineStatus): void
  forgotten(key: string): void
}

const labelNames = ['namespace', 'name'] as const
const conditionStatuses = ['True', 'False', 'Unknown'] as const

/** Gauges that are one number of a sample. */
const sampled: Readonly<Record<string, readonly [help: string, read: (sample: Sample) => number]>> = {
  redis_stream_pending_entries: ['Entries delivered to a consumer and not settled.', (sample) => sample.pending],
  redis_stream_pending_age_max_seconds: ['Age of the oldest healthy pending entry.', (sample) => sample.pendingAgeMs / 1000],
  redis_stream_undelivered_entries: ['Entries no consumer has read.', (sample) => sample.undelivered],
  redis_stream_undelivered_age_max_seconds: ['Age of the oldest undelivered entry.', (sample) => sample.undeliveredAgeMs / 1000],
  redis_stream_quarantined_entries: ['Pending entries near the delivery ceiling.', (sample) => sample.quarantined],
  redis_stream_dead_letter_entries: ['Dead letters kept.', (sample) => sample.deadLetters],
}

export function createPipelineMetrics(registry: Registry): PipelineMetrics {
  const registers = [registry]
  const gauge = (name: string, help: string) => new Gauge({ name, help, labelNames, registers })
  const gauges = Object.entries(sampled).map(([name, [help, read]]) => ({ metric: gauge(name, help), read }))
  const desired = gauge('streampipeline_desired_replicas', 'Consumers there should be.')
  const recommended = gauge('streampipeline_recommended_replicas', 'Consumers the model recommends, obeyed or not.')
  const replicas = gauge('streampipeline_replicas', 'Consumer pods there are.')
  const lost = new Counter({ name: 'redis_stream_lost_entries_total', help: 'Entries trimmed unread.', labelNames, registers })
  const decisions = new Counter({
    name: 'streampipeline_scaling_decisions_total',
    help: 'Looks at a pipeline, by what limited the decision.',
    labelNames: [...labelNames, 'reason'],
    registers,
  })
  const condition = new Gauge({
    name: 'streampipeline_condition',
    help: '1 for the status a condition has.',
    labelNames: [...labelNames, 'type', 'status'],
    registers,
  })
  const look = new Histogram({
    name: 'streampipeline_observe_duration_seconds',
    help: 'Time one look at a pipeline in Redis takes.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5],
    registers,
  })
  /** Reasons counted per pipeline, so that they can be taken away again. */
  const reasons = new Map<string, Set<string>>()
  /** What Redis said last: its number is absolute, a counter only grows. */
  const lostBefore = new Map<string, number>()

  return {
    looked(key, observation, tookMs) {
      const labels = splitKey(key)
      look.observe(tookMs / 1000)
      if (observation.kind === 'None') return
      const { decision } = observation
      desired.set(labels, decision.replicas)
      recommended.set(labels, decision.recommended)
      const reason = decision.limitedBy ?? 'None'
      decisions.inc({ ...labels, reason })
      reasons.set(key, (reasons.get(key) ?? new Set()).add(reason))
      if (observation.kind !== 'Seen') return
      const { sample } = observation
      for (const { metric, read } of gauges) metric.set(labels, read(sample))
      lost.inc(labels, Math.max(0, sample.lost - (lostBefore.get(key) ?? 0)))
      lostBefore.set(key, sample.lost)
    },
    reported(key, status) {
      const labels = splitKey(key)
      replicas.set(labels, status.replicas ?? 0)
      for (const { type, status: actual } of status.conditions ?? []) {
        for (const each of conditionStatuses) condition.set({ ...labels, type, status: each }, each === actual ? 1 : 0)
      }
    },
    forgotten(key) {
      const labels = splitKey(key)
      for (const metric of [...gauges.map((each) => each.metric), desired, recommended, replicas, lost]) metric.remove(labels)
      for (const reason of reasons.get(key) ?? []) decisions.remove({ ...labels, reason })
      for (const type of conditionTypes) for (const status of conditionStatuses) condition.remove({ ...labels, type, status })
      reasons.delete(key)
      lostBefore.delete(key)
    },
  }
}
