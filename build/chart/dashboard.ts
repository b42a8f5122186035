/** The Grafana dashboard: one panel for each question of a person on call, in their usual order. */
import { ofOperators } from './alerts.ts'

interface Query {
  readonly expr: string
  readonly legend: string
}

interface Panel {
  readonly title: string
  readonly description: string
  readonly unit: string
  readonly queries: readonly Query[]
}

const chosen = 'namespace=~"$namespace",pipeline=~"$pipeline"'
const consumersOf = 'namespace=~"$namespace",pipeline=~"$pipeline"'
const byPipeline = 'sum by (namespace, pipeline)'

const panels: readonly Panel[] = [
  {
    title: 'Backlog',
    description: 'Entries that wait in the stream, and those being forwarded.',
    unit: 'short',
    queries: [
      { expr: `${byPipeline} (redis_stream_undelivered_entries{${chosen}})`, legend: '{{pipeline}} undelivered' },
      { expr: `${byPipeline} (redis_stream_pending_entries{${chosen}})`, legend: '{{pipeline}} pending' },
    ],
  },
  {
    title: 'Oldest age',
    description: 'Age of the oldest entry. scaling.targetAge is the promise.',
    unit: 's',
    queries: [
      {
        expr: `max by (namespace, pipeline) (redis_stream_undelivered_age_max_seconds{${chosen}})`,
        legend: '{{pipeline}} undelivered',
      },
      { expr: `max by (namespace, pipeline) (redis_stream_pending_age_max_seconds{${chosen}})`, legend: '{{pipeline}} pending' },
    ],
  },
  {
    title: 'Replicas',
    description: 'Running and wanted consumers.',
    unit: 'short',
    queries: [
      { expr: `${byPipeline} (streampipeline_replicas{${chosen}})`, legend: '{{pipeline}} existing' },
      { expr: `${byPipeline} (streampipeline_desired_replicas{${chosen}})`, legend: '{{pipeline}} desired' },
    ],
  },
  {
    title: 'What limits scaling',
    description: 'Decisions, by the limit on more or fewer replicas.',
    unit: 'ops',
    queries: [
      {
        expr: `sum by (pipeline, reason) (rate(streampipeline_scaling_decisions_total{${chosen}}[5m]))`,
        legend: '{{pipeline}} {{reason}}',
      },
    ],
  },
  {
    title: 'Drain rate',
    description: 'Entries settled per second, by outcome.',
    unit: 'ops',
    queries: [
      {
        expr: `sum by (pipeline, outcome) (rate(stream_consumer_settled_total{${consumersOf}}[5m]))`,
        legend: '{{pipeline}} {{outcome}}',
      },
    ],
  },
  {
    title: 'Settling a batch',
    description: 'Time to settle a batch, 99th percentile.',
    unit: 's',
    queries: [
      {
        expr: `histogram_quantile(0.99, sum by (pipeline, le) (rate(stream_consumer_settle_duration_seconds_bucket{${consumersOf}}[5m])))`,
        legend: '{{pipeline}}',
      },
    ],
  },
  {
    title: 'Dead letters',
    description: 'Written per second, by reason.',
    unit: 'ops',
    queries: [
      {
        expr: `sum by (pipeline, reason) (rate(stream_consumer_dead_letters_total{${consumersOf}}[5m]))`,
        legend: '{{pipeline}} {{reason}}',
      },
    ],
  },
  {
    title: 'Taken over',
    description: 'Entries reclaimed per second from consumers that left them.',
    unit: 'ops',
    queries: [{ expr: `sum by (pipeline) (rate(stream_consumer_reclaimed_total{${consumersOf}}[5m]))`, legend: '{{pipeline}}' }],
  },
  {
    title: 'Seconds since the last heartbeat',
    description: 'For each consumer. Above 15 it counts as stale.',
    unit: 's',
    queries: [{ expr: `time() - (stream_consumer_heartbeat_timestamp_seconds{${consumersOf}} > 0)`, legend: '{{pod}}' }],
  },
  {
    title: 'Upstream failures',
    description: 'Failed calls of your workers to upstream services.',
    unit: 'percentunit',
    queries: [
      {
        expr: 'sum by (upstream) (rate(upstream_failures_total[5m])) / sum by (upstream) (rate(upstream_requests_total[5m]))',
        legend: '{{upstream}}',
      },
    ],
  },
  {
    title: 'Operator: reconciles',
    description: 'Per second, by result.',
    unit: 'ops',
    queries: [
      {
        expr: 'sum by (result) (rate(controller_runtime_reconcile_total{controller="streampipeline"}[5m]))',
        legend: '{{result}}',
      },
    ],
  },
  {
    title: 'Operator: requests to the API server',
    description: 'Per second, by method and code.',
    unit: 'ops',
    queries: [
      {
        expr: `sum by (method, code) (rate(rest_client_requests_total[5m]) ${ofOperators})`,
        legend: '{{method}} {{code}}',
      },
    ],
  },
]

const datasource = { type: 'prometheus', uid: '$datasource' }

const variable = (name: string, label: string, query: string) => ({
  name,
  label,
  type: 'query',
  datasource,
  query: { query, refId: name },
  refresh: 2,
  includeAll: true,
  multi: true,
  allValue: '.*',
  current: { text: 'All', value: '$__all' },
})

export const dashboard = {
  title: 'StreamPipelines',
  uid: 'streampipelines',
  tags: ['streampipeline', 'redis', 'bullmq'],
  schemaVersion: 39,
  version: 1,
  refresh: '30s',
  time: { from: 'now-3h', to: 'now' },
  templating: {
    list: [
      { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' },
      variable('namespace', 'Namespace', 'label_values(streampipeline_desired_replicas, namespace)'),
      variable('pipeline', 'Pipeline', 'label_values(streampipeline_desired_replicas{namespace=~"$namespace"}, pipeline)'),
    ],
  },
  panels: panels.map(({ title, description, unit, queries }, index) => ({
    id: index + 1,
    type: 'timeseries',
    title,
    description,
    datasource,
    gridPos: { h: 8, w: 12, x: (index % 2) * 12, y: Math.floor(index / 2) * 8 },
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    targets: queries.map(({ expr, legend }, letter) => ({
      refId: String.fromCharCode(65 + letter),
      datasource,
      expr,
      legendFormat: legend,
    })),
  })),
}
