/** Prometheus itself on the alerts: their syntax, and for each when it fires and when it does not. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { stringify } from 'yaml'
import { alertGroups, filledGroups } from '../../../build/chart/alerts.ts'
import { run } from '../../support/process.ts'
import { needsPromtool, promtool } from './chart.ts'

const ndvi = 'namespace="farm",pipeline="ndvi"'
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

const waiting = (undelivered: string, pending: string, target = '30x90') => ({
  [`redis_stream_undelivered_age_max_seconds{${ndvi}}`]: undelivered,
  [`redis_stream_pending_age_max_seconds{${ndvi}}`]: pending,
  [`streampipeline_target_age_seconds{${ndvi}}`]: target,
})
const burning = (entries: string, late: string) => ({
  [`stream_consumer_entries_total{${consumer}}`]: entries,
  [`stream_consumer_late_entries_total{${consumer}}`]: late,
})
const conditionIs = (type: string, status: string, values: string) => ({
  [`streampipeline_condition{${ndvi},type="${type}",status="${status}"}`]: values,
})
const bounds = (desired: string, most: string, fewest: string) => ({
  [`streampipeline_desired_replicas{${ndvi}}`]: desired,
  [`streampipeline_max_replicas{${ndvi}}`]: most,
  [`streampipeline_min_replicas{${ndvi}}`]: fewest,
})
const memory = (resident: string) => ({
  [`process_resident_memory_bytes{${consumer}}`]: resident,
  [`streampipeline_memory_limit_bytes{${consumer}}`]: '100x90',
})
const reconciles = (errors: string) => ({
  'controller_runtime_reconcile_errors_total{job="j",controller="streampipeline"}': errors,
  'controller_runtime_reconcile_total{job="j",controller="streampipeline",result="success"}': '0+60x90',
  'controller_runtime_reconcile_errors_total{job="another",controller="another"}': '0+60x90',
  'controller_runtime_reconcile_total{job="another",controller="another",result="error"}': '0+60x90',
})

const cases: readonly Case[] = [
  { alert: 'StreamPipelineBacklogOld', series: waiting('400x30', '0x30'), at: '20m', fires: true },
  { alert: 'StreamPipelineBacklogOld', series: waiting('0x30', '400x30'), at: '20m', fires: true },
  { alert: 'StreamPipelineBacklogOld', series: waiting('400x5 0x30', '0x30'), at: '20m', fires: false },
  { alert: 'StreamPipelineBacklogOld', series: waiting('400x30', '0x30', '60x30'), at: '20m', fires: false },
  // 20 % late, of 1 % allowed: 20 times the budget.
  { alert: 'StreamPipelinePromiseBurningFast', series: burning('0+60x90', '0+12x90'), at: '70m', fires: true },
  { alert: 'StreamPipelinePromiseBurningFast', series: burning('0+60x90', '0+6x90'), at: '70m', fires: false },
  // Over for ten minutes: the short window ends it.
  { alert: 'StreamPipelinePromiseBurningFast', series: burning('0+60x90', '0+30x60 1800x30'), at: '70m', fires: false },
  { alert: 'StreamPipelinePromiseBurningSlowly', series: burning('0+60x400', '0+6x400'), at: '380m', fires: true },
  { alert: 'StreamPipelinePromiseBurningSlowly', series: burning('0+60x400', '0+3x400'), at: '380m', fires: false },
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
  // Lost before the leader changed, so that its series begins with the loss.
  {
    alert: 'StreamPipelineEntriesLost',
    series: { [`redis_stream_unacknowledged_lost_entries{${ndvi}}`]: '12x10' },
    at: '10m',
    fires: true,
  },
  {
    alert: 'StreamPipelineEntriesLost',
    series: { [`redis_stream_unacknowledged_lost_entries{${ndvi}}`]: '12x5 0x10' },
    at: '10m',
    fires: false,
  },
  {
    alert: 'StreamPipelineQuarantine',
    series: { [`redis_stream_quarantined_entries{${ndvi}}`]: '1x30' },
    at: '15m',
    fires: true,
  },
  {
    alert: 'StreamPipelineQuarantine',
    series: { [`redis_stream_quarantined_entries{${ndvi}}`]: '1x5 0x30' },
    at: '15m',
    fires: false,
  },
  { alert: 'StreamPipelineStalled', series: conditionIs('Stalled', 'True', '1x20'), at: '10m', fires: true },
  { alert: 'StreamPipelineStalled', series: conditionIs('Stalled', 'True', '0x20'), at: '10m', fires: false },
  { alert: 'StreamPipelineRedisAway', series: conditionIs('RedisReachable', 'False', '1x20'), at: '10m', fires: true },
  { alert: 'StreamPipelineRedisAway', series: conditionIs('RedisReachable', 'False', '1x2 0x20'), at: '10m', fires: false },
  { alert: 'StreamPipelineAtMaximum', series: bounds('5x90', '5x90', '1x90'), at: '70m', fires: true },
  { alert: 'StreamPipelineAtMaximum', series: bounds('5x30 4x60', '5x90', '1x90'), at: '70m', fires: false },
  { alert: 'StreamPipelineAtMaximum', series: bounds('5x90', '5x90', '5x90'), at: '70m', fires: false },
  { alert: 'StreamPipelineContended', series: { [`streampipeline_contended{${ndvi}}`]: '1x20' }, at: '5m', fires: true },
  { alert: 'StreamPipelineContended', series: { [`streampipeline_contended{${ndvi}}`]: '0x20' }, at: '5m', fires: false },
  { alert: 'StreamPipelineMemoryHigh', series: memory('95x20'), at: '10m', fires: true },
  { alert: 'StreamPipelineMemoryHigh', series: memory('80x20'), at: '10m', fires: false },
  { alert: 'StreamPipelineOperatorErrors', series: reconciles('0+30x30'), at: '25m', fires: true },
  { alert: 'StreamPipelineOperatorErrors', series: reconciles('0+3x30'), at: '25m', fires: false },
  {
    alert: 'StreamPipelineOperatorQueueDeep',
    series: { 'workqueue_depth{job="j",name="streampipeline"}': '500x30' },
    at: '15m',
    fires: true,
  },
  {
    alert: 'StreamPipelineOperatorQueueDeep',
    series: { 'workqueue_depth{job="j",name="another"}': '500x30' },
    at: '15m',
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
  const rules = stringify({ groups: filledGroups() })
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
