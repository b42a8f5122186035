/**
 * The metrics of a pipeline, one table: what Redis shows, what was decided, what the spec promises, what its conditions are. All have
 * the labels `namespace` and `pipeline`, which consumers' and workers' metrics have too.
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import { markBytes, marksAt } from '../../api/markmemory.ts'
import type { StreamPipelineStatus } from '../../api/status.ts'
import type { PathKind } from '../../redis/settle/path.ts'
import { readyOf, type Sample } from '../../scaling/sample.ts'
import type { Observation } from '../plan/observed.ts'

/** A pipeline at the moment of a scrape. */
export interface PipelineReading {
  readonly key: string
  /** None: its spec cannot be carried out. */
  readonly pipeline: CompiledPipeline | undefined
  readonly observation: Observation
  /** Lost entries that a person has acknowledged. */
  readonly acknowledged: number
  /** As last written. */
  readonly status: StreamPipelineStatus | undefined
}

export interface Counts {
  readonly decisions: Map<string, number>
  lost: number
  /** The last number that Redis gave. It is absolute and may fall: only its growth is added to `lost`. */
  lostBefore: number
}

/** Further labels, each with a comma before it, and the value. */
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

const specified = (name: string, help: string, read: (pipeline: CompiledPipeline) => number): Family => ({
  name,
  type: 'gauge',
  help,
  values: ({ pipeline }) => (pipeline === undefined ? [] : [['', read(pipeline)]]),
})

/** Names of streams and queues may hold anything. */
const escaped = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')

const modes = ['Stream', 'Direct'] as const

const paths = ['Atomic', 'Split', 'Portable'] as const satisfies readonly PathKind[]

/** Consumers by the path they forward on. */
const pathsOf = ({ consumers }: Sample): readonly Value[] =>
  paths.map((path): Value => [`,path="${path}"`, consumers.filter(({ heartbeat }) => heartbeat?.path === path).length])

/** Written out at each scrape. */
export const families: readonly Family[] = [
  {
    name: 'streampipeline_info',
    type: 'gauge',
    help: 'Always 1. Its labels have the names of stream, group and queue, and the scaling policy.',
    values: ({ pipeline }) => {
      if (pipeline === undefined) return []
      const { source, sink, scaling } = pipeline
      const names = { stream: source.stream, group: source.group, queue: sink.queue, policy: scaling.policy }
      return [
        [
          Object.entries(names)
            .map(([label, value]) => `,${label}="${escaped(value)}"`)
            .join(''),
          1,
        ],
      ]
    },
  },
  specified('streampipeline_target_age_seconds', 'scaling.targetAge of the spec.', ({ scaling }) => scaling.targetAgeMs / 1000),
  specified(
    'streampipeline_min_replicas',
    'scaling.minReplicas of the spec, without schedules.',
    ({ scaling }) => scaling.minReplicas,
  ),
  specified(
    'streampipeline_max_replicas',
    'scaling.maxReplicas of the spec, without schedules.',
    ({ scaling }) => scaling.maxReplicas,
  ),
  specified('streampipeline_suspended', '1 while spec.suspend is true.', ({ suspend }) => (suspend ? 1 : 0)),
  {
    name: 'streampipeline_mode',
    type: 'gauge',
    help: '1 for the mode of the spec; 0 for the other.',
    values: ({ pipeline }) =>
      pipeline === undefined ? [] : modes.map((mode): Value => [`,mode="${mode}"`, pipeline.mode === mode ? 1 : 0]),
  },
  {
    name: 'streampipeline_forward_path',
    type: 'gauge',
    help: 'Consumers by the path on which they forward entries, from their heartbeats.',
    values: ({ observation }) => (observation.kind === 'Seen' ? pathsOf(observation.sample) : []),
  },
  sampled('streampipeline_ready_replicas', 'Consumers whose heartbeats show that they take entries.', readyOf),
  sampled('redis_stream_pending_entries', 'Entries that consumers have read and not settled.', (sample) => sample.pending),
  sampled(
    'redis_stream_pending_age_max_seconds',
    'Age of the oldest pending entry, without quarantined ones.',
    (sample) => sample.pendingAgeMs / 1000,
  ),
  sampled('redis_stream_undelivered_entries', 'Entries that no consumer has read.', (sample) => sample.undelivered),
  sampled(
    'redis_stream_undelivered_age_max_seconds',
    'Age of the oldest entry that no consumer has read.',
    (sample) => sample.undeliveredAgeMs / 1000,
  ),
  sampled(
    'redis_stream_quarantined_entries',
    'Pending entries that Redis has delivered three times or more.',
    (sample) => sample.quarantined,
  ),
  sampled('redis_stream_dead_letter_entries', 'Dead letters.', (sample) => sample.deadLetters),
  {
    name: 'redis_stream_dead_letter_max_entries',
    type: 'gauge',
    help: 'Limit of the dead letters: deadLetter.maxEntries. At this limit no further entry becomes one.',
    values: ({ pipeline }) => (pipeline === undefined ? [] : [['', pipeline.deadLetter.maxEntries]]),
  },
  decided('streampipeline_desired_replicas', 'Consumers that should run.', 'replicas'),
  decided(
    'streampipeline_recommended_replicas',
    'Consumers that the scaler recommends, also under scaling.policy Manual.',
    'recommended',
  ),
  {
    name: 'streampipeline_replicas',
    type: 'gauge',
    help: 'Consumer pods.',
    values: ({ status }) => (status === undefined ? [] : [['', status.replicas ?? 0]]),
  },
  sampled(
    'redis_stream_unaccounted_entries',
    'Upper bound of the entries that other programs took from the group and that are still in the stream.',
    ({ missing }) => missing?.unaccounted ?? 0,
  ),
  sampled(
    'redis_stream_undecided_entries',
    'Entries that were either trimmed unread or taken by other programs. Their counts do not show which.',
    ({ missing }) => missing?.undecided ?? 0,
  ),
  sampled(
    'redis_stream_retention_pinned_seconds',
    'Time for which one pending or unread entry has held up retention. That entry and all later ones stay in the stream. 0 without such an entry.',
    ({ atMs, pin }) => (pin === undefined ? 0 : Math.max(0, atMs - pin.sinceMs) / 1000),
  ),
  sampled(
    'redis_stream_added_entries',
    'Entries that were ever added to the stream, as Redis counts them.',
    (sample) => sample.entriesAdded,
  ),
  {
    name: 'streampipeline_marks_memory_bytes',
    type: 'gauge',
    help: `Forecast of the memory for marks of forwarded keys in the queue's Redis, ${markBytes} bytes each, after the present rate has lasted for idempotency.window.`,
    values: ({ pipeline, observation }) => {
      if (pipeline === undefined || observation.kind !== 'Seen' || observation.arrivalsPerSecond === undefined) return []
      return [['', marksAt(observation.arrivalsPerSecond, pipeline.idempotency.windowMs).bytes]]
    },
  },
  sampled('redis_stream_queue_waiting_jobs', 'Jobs that wait in the queue.', (sample) => sample.queueWaiting),
  {
    name: 'redis_stream_unacknowledged_lost_entries',
    type: 'gauge',
    help: 'Entries trimmed unread, less the number in the annotation streampipeline.dev/acknowledged-losses.',
    values: ({ observation, acknowledged }) =>
      observation.kind === 'Seen' ? [['', Math.max(0, observation.sample.lost - acknowledged)]] : [],
  },
  {
    name: 'redis_stream_lost_entries_total',
    type: 'counter',
    help: 'Entries that were trimmed unread.',
    values: (_, counts) => (counts === undefined ? [] : [['', counts.lost]]),
  },
  {
    name: 'streampipeline_scaling_decisions_total',
    type: 'counter',
    help: 'Scaling decisions, by the limit that applied.',
    values: (_, counts) => [...(counts?.decisions ?? [])].map(([reason, count]) => [`,reason="${reason}"`, count]),
  },
  {
    name: 'streampipeline_contended',
    type: 'gauge',
    help: '1 while another writer undoes the operator’s changes of an object again and again.',
    values: ({ status }) => {
      const reconciled = status?.conditions?.find(({ type }) => type === 'Reconciled')
      return reconciled === undefined ? [] : [['', reconciled.reason === 'Contended' ? 1 : 0]]
    },
  },
  {
    name: 'streampipeline_condition',
    type: 'gauge',
    help: '1 for the present status of each condition; 0 for the other statuses.',
    values: ({ status }) =>
      (status?.conditions ?? []).flatMap(({ type, status: actual }) =>
        conditionStatuses.map((each): Value => [`,type="${type}",status="${each}"`, each === actual ? 1 : 0]),
      ),
  },
]
