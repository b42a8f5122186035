/** The chart's alerts, in Prometheus' own form. The chart fills in `%name%` and `RUNBOOKS` from its values
 * (alertsettings.ts). */
import { withSettings } from './alertsettings.ts'

interface AlertRule {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: { readonly severity: 'critical' | 'warning' }
  readonly annotations: { readonly summary: string; readonly description: string; readonly runbook_url: string }
}

interface AlertGroup {
  readonly name: string
  readonly rules: readonly AlertRule[]
}

/** The page of an alert in docs/runbooks, without `.md`. */
export const runbookName = ({ alert }: { readonly alert: string }): string => alert

function alert(
  name: string,
  severity: AlertRule['labels']['severity'],
  summary: string,
  description: string,
  expr: string,
  wait?: string,
): AlertRule {
  return {
    alert: name,
    expr,
    ...(wait === undefined ? {} : { for: wait }),
    labels: { severity },
    annotations: { summary, description, runbook_url: `RUNBOOKS/${name}.md` },
  }
}

const pipeline = '{{ $labels.namespace }}/{{ $labels.pipeline }}'
/** Every client of the API server counts its requests under client-go's name; ours come from a target that reports our Lease, too. */
export const ofOperators = 'and on (job, instance) leader_election_master_status{name="streampipeline"}'

/** The share of late entries in a window, as a multiple of the share that the objective allows. */
const burn = (window: string): string =>
  `(sum by (namespace, pipeline) (rate(stream_consumer_late_entries_total[${window}])) / ` +
  `sum by (namespace, pipeline) (rate(stream_consumer_entries_total[${window}]))) / (1 - %objective%)`

const condition = (type: string, status: string): string =>
  `max by (namespace, pipeline) (streampipeline_condition{type="${type}",status="${status}"})`

const promises: readonly AlertRule[] = [
  alert(
    'StreamPipelinePromiseBurningFast',
    'critical',
    'Many entries are late',
    `Late entries of ${pipeline} use up the error budget {{ $value | humanize }} times as fast as the objective allows.`,
    `${burn('%burnFastLong%')} > %fastBurn% and ${burn('%burnFastShort%')} > %fastBurn%`,
    '%soon%',
  ),
  alert(
    'StreamPipelinePromiseBurningSlowly',
    'warning',
    'Some entries are late, for hours',
    `Late entries of ${pipeline} use up the error budget {{ $value | humanize }} times as fast as the objective allows.`,
    `${burn('%burnSlowLong%')} > %slowBurn% and ${burn('%burnSlowShort%')} > %slowBurn%`,
    // A new series has no long past: a few late entries at a start would be all there is.
    '%long%',
  ),
  alert(
    'StreamPipelineBacklogOld',
    'warning',
    'Entries wait too long',
    `The oldest entry of ${pipeline} has waited {{ $value | humanize }} times as long as promised.`,
    // Not `or`, which takes the left one where both have the same labels, and all pipelines have both.
    'max by (namespace, pipeline) ({__name__=~"redis_stream_undelivered_age_max_seconds|redis_stream_pending_age_max_seconds"}) / ' +
      'max by (namespace, pipeline) (streampipeline_target_age_seconds) > %oldestAgeFactor%',
    '%medium%',
  ),
]

const data: readonly AlertRule[] = [
  alert(
    'StreamPipelineDeadLettersGrowing',
    'warning',
    'Entries become dead letters',
    `${pipeline} has {{ $value | humanize }} more dead letters than %growth% ago.`,
    'max by (namespace, pipeline) (delta(redis_stream_dead_letter_entries[%growth%])) > 0',
    '%short%',
  ),
  alert(
    'StreamPipelineDeadLettersFillingUp',
    'warning',
    'The dead-letter stream is almost full',
    `The dead letters of ${pipeline} take {{ $value | humanizePercentage }} of their room. Once it is full, entries that cannot become jobs stay pending.`,
    'max by (namespace, pipeline) (redis_stream_dead_letter_entries) / max by (namespace, pipeline) (redis_stream_dead_letter_max_entries) > 0.9',
    '%short%',
  ),
  alert(
    'StreamPipelineEntriesLost',
    'critical',
    'Entries were trimmed before a consumer read them',
    `{{ $value | humanize }} entries of ${pipeline} are lost, and the annotation streampipeline.dev/acknowledged-losses does not count them yet.`,
    // A level, not an increase: a new leader begins a new series.
    'max by (namespace, pipeline) (redis_stream_unacknowledged_lost_entries) > 0',
  ),
  alert(
    'StreamPipelineQuarantine',
    'warning',
    'Entries are delivered again and again',
    `{{ $value }} entries of ${pipeline} were delivered three times or more and are not settled.`,
    'max by (namespace, pipeline) (redis_stream_quarantined_entries) > 0',
    '%medium%',
  ),
]

const health: readonly AlertRule[] = [
  alert(
    'StreamPipelineNoConsumer',
    'critical',
    'Entries wait and no consumer is ready',
    `{{ $value }} entries of ${pipeline} wait and no consumer is ready.`,
    `max by (namespace, pipeline) (redis_stream_undelivered_entries) > 0 and on (namespace, pipeline) ${condition('ConsumersAvailable', 'True')} == 0`,
    '%short%',
  ),
  alert(
    'StreamPipelineNotReady',
    'warning',
    'A pipeline is not ready',
    `kubectl describe streampipeline shows the reason for ${pipeline}.`,
    `${condition('Ready', 'True')} == 0`,
    '%long%',
  ),
  alert(
    'StreamPipelineStalled',
    'warning',
    'A pipeline’s spec cannot be carried out',
    `Nothing changes for ${pipeline} until its spec changes. Its condition Stalled gives the reason.`,
    `${condition('Stalled', 'True')} == 1`,
    '%short%',
  ),
  alert(
    'StreamPipelineRedisAway',
    'critical',
    'The operator does not reach a pipeline’s Redis',
    `The condition RedisReachable of ${pipeline} gives the reason.`,
    `${condition('RedisReachable', 'False')} == 1`,
    '%short%',
  ),
  alert(
    'StreamPipelineAtMaximum',
    'warning',
    'A pipeline needs all the consumers it may have, for long',
    `${pipeline} has run at scaling.maxReplicas ({{ $value }}) all that time. There is no room for more load.`,
    'max by (namespace, pipeline) (streampipeline_desired_replicas) >= max by (namespace, pipeline) (streampipeline_max_replicas) > ' +
      'max by (namespace, pipeline) (streampipeline_min_replicas)',
    '%atMaximum%',
  ),
  alert(
    'StreamPipelineContended',
    'warning',
    'Another writer undoes the operator’s writes',
    `Objects of ${pipeline} are changed back again and again. Its condition Reconciled names the writer.`,
    'max by (namespace, pipeline) (streampipeline_contended) == 1',
    '%soon%',
  ),
]

const consumers: readonly AlertRule[] = [
  alert(
    'StreamPipelineReclaimStorm',
    'warning',
    'Entries go from consumer to consumer',
    `{{ $value | humanize }} entries per second of ${pipeline} are taken over from consumers that left them.`,
    'sum by (namespace, pipeline) (rate(stream_consumer_reclaimed_total[%recent%])) > ' +
      '0.2 * sum by (namespace, pipeline) (rate(stream_consumer_settled_total[%recent%])) > 0.1',
    '%medium%',
  ),
  alert(
    'StreamPipelineSinkRejecting',
    'warning',
    'Redis refuses commands of consumers',
    `Redis refused commands of consumers of ${pipeline} {{ $value | humanize }} times in %recent%, reason {{ $labels.reason }}.`,
    'sum by (namespace, pipeline, reason) (increase(stream_consumer_failures_total[%recent%])) > %refusals%',
    '%short%',
  ),
  alert(
    'StreamPipelineConsumerSilent',
    'warning',
    'A consumer runs, but does not reach Redis',
    `{{ $labels.pod }} of ${pipeline} last reached Redis {{ $value | humanizeDuration }} ago.`,
    'time() - (stream_consumer_heartbeat_timestamp_seconds > 0) > %silentSeconds%',
    '%soon%',
  ),
  alert(
    'StreamPipelineMemoryHigh',
    'warning',
    'A consumer or an operator is about to exceed its memory limit',
    '{{ $labels.namespace }}/{{ $labels.pod }} takes {{ $value | humanizePercentage }} of its memory limit.',
    'process_resident_memory_bytes / streampipeline_memory_limit_bytes > %memoryShare%',
    '%short%',
  ),
]

const operator: readonly AlertRule[] = [
  alert(
    'StreamPipelineOperatorWithoutLeader',
    'critical',
    'No operator pod leads',
    'Pipelines keep moving entries, but nothing is scaled, repaired or reported.',
    // One result per release: the leader of one does nothing for another. Without any series there is no release to group by.
    'sum by (namespace, job) (leader_election_master_status{name="streampipeline"}) < 1 or ' +
      'absent(leader_election_master_status{name="streampipeline"})',
    '%soon%',
  ),
  alert(
    'StreamPipelineOperatorWriting',
    'warning',
    'The operator writes at rest',
    '{{ $value | humanize }} writes per second and pipeline: another writer undoes them.',
    `sum(rate(rest_client_requests_total{method="PATCH"}[%growth%]) ${ofOperators}) / ` +
      'count(count by (namespace, pipeline) (streampipeline_desired_replicas)) > %writesPerSecond%',
    '%longest%',
  ),
  alert(
    'StreamPipelineOperatorErrors',
    'warning',
    'Reconciles fail',
    '{{ $value | humanizePercentage }} of the reconciles fail. The operator’s log names pipelines and causes.',
    'sum by (namespace, job) (rate(controller_runtime_reconcile_errors_total{controller="streampipeline"}[%recent%])) / ' +
      'sum by (namespace, job) (rate(controller_runtime_reconcile_total{controller="streampipeline"}[%recent%])) > %errorShare%',
    '%medium%',
  ),
  alert(
    'StreamPipelineOperatorQueueDeep',
    'warning',
    'Changes wait in the operator',
    '{{ $value }} pipelines wait to be reconciled: the API server is slow, or something changes all of them.',
    'max by (namespace, job) (workqueue_depth{name="streampipeline"}) > %queueDepth%',
    '%medium%',
  ),
]

export const alertGroups: readonly AlertGroup[] = [
  { name: 'streampipeline.pipelines', rules: [...promises, ...data, ...health] },
  { name: 'streampipeline.consumers', rules: consumers },
  { name: 'streampipeline.operator', rules: operator },
]

/** The rules as Prometheus takes them. */
export const filledGroups = (overrides: Readonly<Record<string, string | number>> = {}): readonly AlertGroup[] =>
  JSON.parse(
    withSettings(JSON.stringify(alertGroups), overrides).replaceAll('RUNBOOKS', 'docs/runbooks'),
  ) as readonly AlertGroup[]
