/** Prometheus itself on the alerts: their syntax, and for each when it fires and when it does not. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { stringify } from 'yaml'
import { alertGroups } from '../../build/chart/alerts.ts'
import { run } from '../support/process.ts'
import { needsPromtool, promtool } from './chart.ts'

const ndvi = 'namespace="farm",name="ndvi"'
const consumer = 'namespace="farm",pipeline="ndvi",pod="ndvi-consumer-1"'

interface Case {
  readonly alert: string
  /** Series and their samples, one a minute. */
  readonly series: Readonly<Record<string, string>>
  readonly at: string
  readonly fires: boolean
}

const noConsumer = (undelivered: string, available: string) => ({
  [`redis_stream_undelivered_entries{${ndvi}}`]: undelivered,
  [`streampipeline_condition{${ndvi},type="ConsumersAvailable",status="True"}`]: available,
})
const deadLetters = (kept: string, most: string) => ({
  [`redis_stream_dead_letter_entries{${ndvi}}`]: kept,
  [`redis_stream_dead_letter_max_entries{${ndvi}}`]: most,
})
const reclaims = (reclaimed: string) => ({
  [`stream_consumer_reclaimed_total{${consumer}}`]: reclaimed,
  [`stream_consumer_settled_total{${consumer},outcome="forwarded"}`]: '0+600x60',
})
const writes = (patches: string, instance = 'ours') => ({
  [`rest_client_requests_total{job="j",instance="${instance}",method="PATCH",code="200"}`]: patches,
  'leader_election_master_status{job="j",instance="ours",name="streampipeline"}': '1x90',
  'leader_election_master_status{job="j",instance="another",name="another"}': '1x90',
  [`streampipeline_desired_replicas{${ndvi}}`]: '1x90',
})

const cases: readonly Case[] = [
  {
    alert: 'StreamPipelineBacklogOld',
    series: { [`redis_stream_undelivered_age_max_seconds{${ndvi}}`]: '400x30' },
    at: '20m',
    fires: true,
  },
  {
    alert: 'StreamPipelineBacklogOld',
    series: { [`redis_stream_undelivered_age_max_seconds{${ndvi}}`]: '400x5 0x30' },
    at: '20m',
    fires: false,
  },
  {
    alert: 'StreamPipelineBacklogOld',
    series: {
      [`redis_stream_undelivered_age_max_seconds{${ndvi}}`]: '0x30',
      [`redis_stream_pending_age_max_seconds{${ndvi}}`]: '400x30',
    },
    at: '20m',
    fires: true,
  },
  {
    alert: 'StreamPipelineDeadLettersGrowing',
    series: { [`redis_stream_dead_letter_entries{${ndvi}}`]: '5x5 6+1x30' },
    at: '20m',
    fires: true,
  },
  {
    alert: 'StreamPipelineDeadLettersGrowing',
    series: { [`redis_stream_dead_letter_entries{${ndvi}}`]: '500x30' },
    at: '20m',
    fires: false,
  },
  { alert: 'StreamPipelineDeadLettersFillingUp', series: deadLetters('905x20', '1000x20'), at: '10m', fires: true },
  { alert: 'StreamPipelineDeadLettersFillingUp', series: deadLetters('895x20', '1000x20'), at: '10m', fires: false },
  { alert: 'StreamPipelineDeadLettersFillingUp', series: deadLetters('1000x20', '5000x20'), at: '10m', fires: false },
  {
    alert: 'StreamPipelineEntriesLost',
    series: { [`redis_stream_lost_entries_total{${ndvi}}`]: '0x5 12x10' },
    at: '10m',
    fires: true,
  },
  {
    alert: 'StreamPipelineEntriesLost',
    series: { [`redis_stream_lost_entries_total{${ndvi}}`]: '12x30' },
    at: '20m',
    fires: false,
  },
  { alert: 'StreamPipelineNoConsumer', series: noConsumer('7x20', '0x20'), at: '10m', fires: true },
  { alert: 'StreamPipelineNoConsumer', series: noConsumer('0x20', '0x20'), at: '10m', fires: false },
  { alert: 'StreamPipelineNoConsumer', series: noConsumer('7x20', '1x20'), at: '10m', fires: false },
  {
    alert: 'StreamPipelineNotReady',
    series: { [`streampipeline_condition{${ndvi},type="Ready",status="True"}`]: '0x30' },
    at: '20m',
    fires: true,
  },
  {
    alert: 'StreamPipelineNotReady',
    series: { [`streampipeline_condition{${ndvi},type="Ready",status="True"}`]: '0x8 1x30' },
    at: '20m',
    fires: false,
  },
  { alert: 'StreamPipelineReclaimStorm', series: reclaims('0+300x60'), at: '30m', fires: true },
  { alert: 'StreamPipelineReclaimStorm', series: reclaims('0+6x60'), at: '30m', fires: false },
  {
    alert: 'StreamPipelineSinkRejecting',
    series: { [`stream_consumer_failures_total{${consumer},reason="RedisOutOfMemory"}`]: '0+3x30' },
    at: '20m',
    fires: true,
  },
  {
    alert: 'StreamPipelineSinkRejecting',
    series: { [`stream_consumer_failures_total{${consumer},reason="RedisNotReady"}`]: '0x5 3x30' },
    at: '20m',
    fires: false,
  },
  {
    alert: 'StreamPipelineConsumerSilent',
    series: { [`stream_consumer_heartbeat_timestamp_seconds{${consumer}}`]: '60x30' },
    at: '10m',
    fires: true,
  },
  {
    alert: 'StreamPipelineConsumerSilent',
    series: { [`stream_consumer_heartbeat_timestamp_seconds{${consumer}}`]: '0+60x30' },
    at: '10m',
    fires: false,
  },
  {
    alert: 'StreamPipelineOperatorWithoutLeader',
    series: { 'leader_election_master_status{name="streampipeline",pod="a"}': '0x20' },
    at: '5m',
    fires: true,
  },
  { alert: 'StreamPipelineOperatorWithoutLeader', series: { something_else: '0x20' }, at: '5m', fires: true },
  {
    alert: 'StreamPipelineOperatorWithoutLeader',
    series: {
      'leader_election_master_status{name="streampipeline",pod="a"}': '0x20',
      'leader_election_master_status{name="streampipeline",pod="b"}': '1x20',
    },
    at: '5m',
    fires: false,
  },
  {
    alert: 'StreamPipelineOperatorWithoutLeader',
    series: {
      'leader_election_master_status{name="streampipeline",namespace="led",pod="a"}': '1x20',
      'leader_election_master_status{name="streampipeline",namespace="not-led",pod="a"}': '0x20',
    },
    at: '5m',
    fires: true,
  },
  { alert: 'StreamPipelineOperatorWriting', series: writes('0+60x90'), at: '60m', fires: true },
  { alert: 'StreamPipelineOperatorWriting', series: writes('0+6x90'), at: '60m', fires: false },
  { alert: 'StreamPipelineOperatorWriting', series: writes('0+6000x90', 'another'), at: '60m', fires: false },
]

test('each alert has a case in which it fires and one in which it does not', () => {
  for (const { alert } of alertGroups.flatMap(({ rules }) => rules)) {
    const outcomes = new Set(cases.filter((each) => each.alert === alert).map(({ fires }) => fires))
    assert.equal(outcomes.size, 2, alert)
  }
})

test('Prometheus accepts the rules, and they fire when they should and only then', needsPromtool, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-alerts-'))
  t.after(async () => await rm(folder, { recursive: true, force: true }))
  const rules = stringify({ groups: alertGroups }).replaceAll('OLDEST_AGE', '300').replaceAll('RUNBOOKS', 'docs/runbooks')
  await writeFile(join(folder, 'alerts.yaml'), rules)
  const checked = await run(t, ['check', 'rules', 'alerts.yaml'], { command: promtool ?? 'promtool', cwd: folder })
  assert.equal(checked.code, 0, checked.stdout + checked.stderr)

  // The metric ALERTS shows an alert that fires. Comparing annotations too would repeat the rules.
  const tests = cases.map(({ alert, series, at, fires }, index) => ({
    name: `${index} ${alert}`,
    interval: '1m',
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    promql_expr_test: [
      {
        expr: `count(ALERTS{alertname="${alert}",alertstate="firing"})`,
        eval_time: at,
        exp_samples: fires ? [{ labels: '{}', value: 1 }] : [],
      },
    ],
  }))
  await writeFile(
    join(folder, 'tests.yaml'),
    stringify({ rule_files: ['alerts.yaml'], evaluation_interval: '1m', tests }, { lineWidth: 0 }),
  )
  const tested = await run(t, ['test', 'rules', 'tests.yaml'], { command: promtool ?? 'promtool', cwd: folder })
  assert.equal(tested.code, 0, tested.stdout + tested.stderr)
})
