/**
 * Metrics per pipeline: what Redis shows, what was decided, what its conditions say. Some forty series for each, so they are not kept
 * beside what they are made of, but read and written out at each scrape; only counters are held. Gone with the pipeline.
 */
import { Histogram, type Registry } from 'prom-client'
import type { CompiledPipeline } from '../../api/compiled.ts'
import type { StreamPipelineStatus } from '../../api/status.ts'
import type { Sample } from '../../scaling/sample.ts'
import { splitKey } from '../kubernetes/objects.ts'
import type { Observation } from '../plan/observed.ts'

/** A pipeline at the moment of a scrape. */
interface PipelineReading {
  readonly key: string
  /** None: its spec cannot be carried out. */
  readonly pipeline: CompiledPipeline | undefined
  readonly observation: Observation
  /** As last written. */
  readonly status: StreamPipelineStatus | undefined
}

export interface PipelineMetrics {
  looked(key: string, observation: Observation, tookMs: number): void
  forgotten(key: string): void
  /** Where readings come from at a scrape; none: nothing is told, as of a standby. */
  read(source: (() => readonly PipelineReading[]) | undefined): void
  /** In the text format of Prometheus. */
  text(): string
}

interface Counts {
  readonly decisions: Map<string, number>
  lost: number
  /** What Redis said last: its number is absolute, a counter only grows. */
  lostBefore: number
}

type Value = readonly [labels: string, value: number]

/** One metric, of every pipeline. */
interface Family {
  readonly name: string
  readonly type: 'gauge' | 'counter'
  readonly help: string
  readonly values: (reading: PipelineReading, counts: Counts | undefined) => readonly Value[]
}

const conditionStatuses = ['True', 'False', 'Unknown'] as const

const sampled = (name: string, help: string, read: (sample: Sample) => number): Family => ({
  name,
  type: 'gauge',
  help,
  values: ({ observation }) => (observation.kind === 'Seen' ? [['', read(observation.sample)]] : []),
})

const decided = (name: string, help: string, field: 'replicas' | 'recommended'): Family => ({
  name,
  type: 'gauge',
  help,
  values: ({ observation }) => (observation.kind === 'None' ? [] : [['', observation.decision[field]]]),
})

/** Written out at each scrape. */
export const families: readonly Family[] = [
  sampled('redis_stream_pending_entries', 'Entries delivered to a consumer and not settled.', (sample) => sample.pending),
  sampled(
    'redis_stream_pending_age_max_seconds',
    'Age of the oldest healthy pending entry.',
    (sample) => sample.pendingAgeMs / 1000,
  ),
  sampled('redis_stream_undelivered_entries', 'Entries no consumer has read.', (sample) => sample.undelivered),
  sampled(
    'redis_stream_undelivered_age_max_seconds',
    'Age of the oldest undelivered entry.',
    (sample) => sample.undeliveredAgeMs / 1000,
  ),
  sampled('redis_stream_quarantined_entries', 'Pending entries near the delivery ceiling.', (sample) => sample.quarantined),
  sampled('redis_stream_dead_letter_entries', 'Dead letters kept.', (sample) => sample.deadLetters),
  {
    name: 'redis_stream_dead_letter_max_entries',
    type: 'gauge',
    help: 'Dead letters there is room for; with so many no further entry becomes one.',
    values: ({ pipeline }) => (pipeline === undefined ? [] : [['', pipeline.deadLetter.maxEntries]]),
  },
  decided('streampipeline_desired_replicas', 'Consumers there should be.', 'replicas'),
  decided('streampipeline_recommended_replicas', 'Consumers the model recommends, obeyed or not.', 'recommended'),
  {
    name: 'streampipeline_replicas',
    type: 'gauge',
    help: 'Consumer pods there are.',
    values: ({ status }) => (status === undefined ? [] : [['', status.replicas ?? 0]]),
  },
  sampled(
    'redis_stream_unaccounted_entries',
    'Entries that others took from the group and that are still in the stream, at most.',
    ({ missing }) => missing?.unaccounted ?? 0,
  ),
  sampled(
    'redis_stream_undecided_entries',
    'Entries trimmed unread or taken by others; counts cannot tell which.',
    ({ missing }) => missing?.undecided ?? 0,
  ),
  sampled(
    'redis_stream_retention_pinned_seconds',
    'For how long one and the same pending or unread entry has kept older ones in the stream; 0 without one.',
    ({ atMs, pin }) => (pin === undefined ? 0 : Math.max(0, atMs - pin.sinceMs) / 1000),
  ),
  {
    name: 'redis_stream_lost_entries_total',
    type: 'counter',
    help: 'Entries trimmed unread.',
    values: (_, counts) => (counts === undefined ? [] : [['', counts.lost]]),
  },
  {
    name: 'streampipeline_scaling_decisions_total',
    type: 'counter',
    help: 'Looks at a pipeline, by what limited the decision.',
    values: (_, counts) => [...(counts?.decisions ?? [])].map(([reason, count]) => [`,reason="${reason}"`, count]),
  },
  {
    name: 'streampipeline_condition',
    type: 'gauge',
    help: '1 for the status a condition has.',
    values: ({ status }) =>
      (status?.conditions ?? []).flatMap(({ type, status: actual }) =>
        conditionStatuses.map((each): Value => [`,type="${type}",status="${each}"`, each === actual ? 1 : 0]),
      ),
  },
]

export function createPipelineMetrics(registry: Registry): PipelineMetrics {
  const look = new Histogram({
    name: 'streampipeline_observe_duration_seconds',
    help: 'Time one look at a pipeline in Redis takes.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5],
    registers: [registry],
  })
  const counted = new Map<string, Counts>()
  let source: (() => readonly PipelineReading[]) | undefined

  function countsOf(key: string): Counts {
    const held = counted.get(key)
    if (held !== undefined) return held
    const fresh: Counts = { decisions: new Map(), lost: 0, lostBefore: 0 }
    counted.set(key, fresh)
    return fresh
  }

  return {
    looked(key, observation, tookMs) {
      look.observe(tookMs / 1000)
      if (observation.kind === 'None') return
      const counts = countsOf(key)
      const reason = observation.decision.limitedBy ?? 'None'
      counts.decisions.set(reason, (counts.decisions.get(reason) ?? 0) + 1)
      if (observation.kind !== 'Seen') return
      counts.lost += Math.max(0, observation.sample.lost - counts.lostBefore)
      counts.lostBefore = observation.sample.lost
    },
    forgotten: (key) => void counted.delete(key),
    read(next) {
      source = next
    },
    text() {
      const readings = source?.() ?? []
      const lines: string[] = []
      for (const { name, type, help, values } of families) {
        lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
        for (const reading of readings) {
          const { namespace, name: pipeline } = splitKey(reading.key)
          // Names and reasons hold nothing that would have to be escaped.
          for (const [labels, value] of values(reading, counted.get(reading.key)))
            lines.push(`${name}{namespace="${namespace}",name="${pipeline}"${labels}} ${value}`)
        }
      }
      return `${lines.join('\n')}\n`
    },
  }
}
