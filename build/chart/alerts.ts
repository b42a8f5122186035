/** The chart's alerts, in the form of Prometheus. The chart replaces `OLDEST_AGE` and `RUNBOOKS` by its values. */
export interface AlertRule {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: { readonly severity: 'critical' | 'warning' }
  readonly annotations: { readonly summary: string; readonly description: string; readonly runbook_url: string }
}

export interface AlertGroup {
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

const pipeline = '{{ $labels.namespace }}/{{ $labels.name }}'
/**
 * Every client of the API server counts its requests under client-go's name. Only our targets also export the metric of our
 * Lease.
 */
export const ofOperators = 'and on (job, instance) leader_election_master_status{name="streampipeline"}'
const ofConsumers = '{{ $labels.namespace }}/{{ $labels.pipeline }}'

export const alertGroups: readonly AlertGroup[] = [
  {
    name: 'streampipeline.pipelines',
    rules: [
      alert(
        'StreamPipelineBacklogOld',
        'warning',
        'Entries wait too long',
        `The oldest entry of ${pipeline} has waited for {{ $value | humanizeDuration }}.`,
        // Not `or`: where both have the same labels it takes the left one, and all pipelines have both.
        'max by (namespace, name) ({__name__=~"redis_stream_undelivered_age_max_seconds|redis_stream_pending_age_max_seconds"}) > OLDEST_AGE',
        '10m',
      ),
      alert(
        'StreamPipelineDeadLettersGrowing',
        'warning',
        'Entries become dead letters',
        `${pipeline} has {{ $value | humanize }} more dead letters than 15 minutes ago.`,
        'max by (namespace, name) (delta(redis_stream_dead_letter_entries[15m])) > 0',
        '5m',
      ),
      alert(
        'StreamPipelineDeadLettersFillingUp',
        'warning',
        'The dead-letter stream is almost full',
        `The dead letters of ${pipeline} take {{ $value | humanizePercentage }} of their room. Once it is full, entries that cannot become jobs stay pending.`,
        'max by (namespace, name) (redis_stream_dead_letter_entries) / max by (namespace, name) (redis_stream_dead_letter_max_entries) > 0.9',
        '5m',
      ),
      alert(
        'StreamPipelineEntriesLost',
        'critical',
        'Entries were trimmed before a consumer read them',
        `{{ $value | humanize }} entries of ${pipeline} are lost.`,
        'max by (namespace, name) (increase(redis_stream_lost_entries_total[15m])) > 0',
      ),
      alert(
        'StreamPipelineNoConsumer',
        'critical',
        'Entries wait and no consumer is ready',
        `{{ $value }} entries of ${pipeline} wait and no consumer is ready.`,
        'max by (namespace, name) (redis_stream_undelivered_entries) > 0 and on (namespace, name) ' +
          'max by (namespace, name) (streampipeline_condition{type="ConsumersAvailable",status="True"}) == 0',
        '5m',
      ),
      alert(
        'StreamPipelineNotReady',
        'warning',
        'A pipeline is not ready',
        `${pipeline} is not ready. kubectl describe streampipeline shows the reason.`,
        'max by (namespace, name) (streampipeline_condition{type="Ready",status="True"}) == 0',
        '15m',
      ),
    ],
  },
  {
    name: 'streampipeline.consumers',
    rules: [
      alert(
        'StreamPipelineReclaimStorm',
        'warning',
        'Entries go from consumer to consumer',
        `{{ $value | humanize }} entries per second of ${ofConsumers} are taken over from consumers that left them.`,
        'sum by (namespace, pipeline) (rate(stream_consumer_reclaimed_total[10m])) > ' +
          '0.2 * sum by (namespace, pipeline) (rate(stream_consumer_settled_total[10m])) > 0.1',
        '10m',
      ),
      alert(
        'StreamPipelineSinkRejecting',
        'warning',
        'Redis refuses commands of consumers',
        `Consumers of ${ofConsumers} met {{ $value | humanize }} refusals in 10 minutes, reason {{ $labels.reason }}.`,
        'sum by (namespace, pipeline, reason) (increase(stream_consumer_failures_total[10m])) > 10',
        '5m',
      ),
      alert(
        'StreamPipelineConsumerSilent',
        'warning',
        'A consumer runs, but does not reach Redis',
        `{{ $labels.pod }} of ${ofConsumers} last reached Redis {{ $value | humanizeDuration }} ago.`,
        'time() - (stream_consumer_heartbeat_timestamp_seconds > 0) > 60',
        '2m',
      ),
    ],
  },
  {
    name: 'streampipeline.operator',
    rules: [
      alert(
        'StreamPipelineOperatorWithoutLeader',
        'critical',
        'No operator pod leads',
        'Consumers go on moving entries, but nothing is scaled, repaired or reported.',
        // By release: the leader of one release does nothing for another. Without any series there is no release to group by.
        'sum by (namespace, job) (leader_election_master_status{name="streampipeline"}) < 1 or ' +
          'absent(leader_election_master_status{name="streampipeline"})',
        '2m',
      ),
      alert(
        'StreamPipelineOperatorWriting',
        'warning',
        'The operator writes at rest',
        '{{ $value | humanize }} writes per second and pipeline: another writer undoes them.',
        `sum(rate(rest_client_requests_total{method="PATCH"}[15m]) ${ofOperators}) / ` +
          'count(count by (namespace, name) (streampipeline_desired_replicas)) > 0.5',
        '30m',
      ),
    ],
  },
]
