/**
 * The operator's metrics. Per pipeline: what Redis shows and what was decided. Of the machinery: the names that dashboards for
 * controller-runtime and client-go already know.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { conditionTypes, type StreamPipelineStatus } from '../api/status.ts'
import type { ControllerObserver, Outcome } from './kubernetes/controller.ts'
import { splitKey } from './kubernetes/objects.ts'
import type { QueueObserver } from './kubernetes/queue.ts'
import type { Observation } from './plan/observed.ts'

export interface OperatorMetrics {
  readonly registry: Registry
  readonly queue: QueueObserver
  readonly controller: ControllerObserver
  responded(method: string, code: number): void
  looked(key: string, observation: Observation, tookMs: number): void
  reported(key: string, status: StreamPipelineStatus): void
  forgotten(key: string): void
  leading(is: boolean): void
  /** Numbers read at scrape time. */
  measure(source: { depth(): number; longestRunningMs(): number }): void
}

const controller = 'streampipeline'
const pipelineLabels = ['namespace', 'name'] as const
const seconds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export function createMetrics(): OperatorMetrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]

  const gauge = (name: string, help: string) => new Gauge({ name, help, labelNames: pipelineLabels, registers })
  const pending = gauge('redis_stream_pending_entries', 'Entries delivered to a consumer and not settled.')
  const pendingAge = gauge('redis_stream_pending_age_max_seconds', 'Age of the oldest healthy pending entry.')
  const undelivered = gauge('redis_stream_undelivered_entries', 'Entries no consumer has read.')
  const undeliveredAge = gauge('redis_stream_undelivered_age_max_seconds', 'Age of the oldest undelivered entry.')
  const quarantined = gauge('redis_stream_quarantined_entries', 'Pending entries near the delivery ceiling.')
  const lost = gauge('redis_stream_lost_entries_total', 'Entries trimmed unread, ever.')
  const dead = gauge('redis_stream_dead_letter_entries', 'Dead letters kept.')
  const desired = gauge('streampipeline_desired_replicas', 'Consumers there should be.')
  const recommended = gauge('streampipeline_recommended_replicas', 'Consumers the model recommends, obeyed or not.')
  const replicas = gauge('streampipeline_replicas', 'Consumer pods there are.')
  const perPipeline = [pending, pendingAge, undelivered, undeliveredAge, quarantined, lost, dead, desired, recommended, replicas]
  const decisions = new Counter({
    name: 'streampipeline_scaling_decisions_total',
    help: 'Looks at a pipeline, by what limited the decision.',
    labelNames: [...pipelineLabels, 'reason'],
    registers,
  })
  /** Reasons counted per pipeline, so that they can be taken away again. */
  const reasons = new Map<string, Set<string>>()
  const condition = new Gauge({
    name: 'streampipeline_condition',
    help: '1 for the status a condition has.',
    labelNames: [...pipelineLabels, 'type', 'status'],
    registers,
  })
  const look = new Histogram({
    name: 'streampipeline_observe_duration_seconds',
    help: 'Time one look at a pipeline in Redis takes.',
    buckets: seconds,
    registers,
  })

  const byController = ['controller'] as const
  const reconciles = new Counter({
    name: 'controller_runtime_reconcile_total',
    help: 'Reconciles by result.',
    labelNames: ['controller', 'result'],
    registers,
  })
  const errors = new Counter({
    name: 'controller_runtime_reconcile_errors_total',
    help: 'Reconciles that failed.',
    labelNames: byController,
    registers,
  })
  const took = new Histogram({
    name: 'controller_runtime_reconcile_time_seconds',
    help: 'Time per reconcile.',
    labelNames: byController,
    buckets: seconds,
    registers,
  })
  const active = new Gauge({
    name: 'controller_runtime_active_workers',
    help: 'Workers at work.',
    labelNames: byController,
    registers,
  })
  for (const result of ['success', 'error', 'requeue', 'requeue_after']) reconciles.inc({ controller, result }, 0)
  errors.inc({ controller }, 0)
  active.set({ controller }, 0)

  const byName = ['name'] as const
  const queueName = { name: controller }
  const adds = new Counter({ name: 'workqueue_adds_total', help: 'Keys added.', labelNames: byName, registers })
  const retries = new Counter({ name: 'workqueue_retries_total', help: 'Keys retried.', labelNames: byName, registers })
  const waited = new Histogram({
    name: 'workqueue_queue_duration_seconds',
    help: 'Time a key waits before it is served.',
    labelNames: byName,
    buckets: seconds,
    registers,
  })
  const worked = new Histogram({
    name: 'workqueue_work_duration_seconds',
    help: 'Time serving a key takes.',
    labelNames: byName,
    buckets: seconds,
    registers,
  })
  let measured = { depth: () => 0, longestRunningMs: () => 0 }
  const atScrape = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      labelNames: byName,
      registers,
      collect() {
        this.set(queueName, read())
      },
    })
  atScrape('workqueue_depth', 'Keys that wait.', () => measured.depth())
  atScrape(
    'workqueue_longest_running_processor_seconds',
    'Longest time a key has been under way.',
    () => measured.longestRunningMs() / 1000,
  )
  adds.inc(queueName, 0)
  retries.inc(queueName, 0)

  const requests = new Counter({
    name: 'rest_client_requests_total',
    help: 'Requests to the API server by method and code; code 0: no answer.',
    labelNames: ['method', 'code'],
    registers,
  })
  const leader = new Gauge({
    name: 'leader_election_master_status',
    help: '1 while this process leads.',
    labelNames: byName,
    registers,
  })
  leader.set(queueName, 0)

  return {
    registry,
    queue: {
      added: () => adds.inc(queueName),
      retried: () => retries.inc(queueName),
      waited: (ms) => waited.observe(queueName, ms / 1000),
      worked: (ms) => worked.observe(queueName, ms / 1000),
    },
    controller: {
      active: (workers) => active.set({ controller }, workers),
      reconciled(_key, outcome, tookMs) {
        reconciles.inc({ controller, result: resultOf(outcome) })
        took.observe({ controller }, tookMs / 1000)
        if (outcome.kind === 'Retry' || outcome.kind === 'Terminal') errors.inc({ controller })
      },
    },
    responded: (method, code) => requests.inc({ method, code: String(code) }),
    looked(key, observation, tookMs) {
      const labels = splitKey(key)
      look.observe(tookMs / 1000)
      if (observation.kind === 'None') return
      desired.set(labels, observation.decision.replicas)
      recommended.set(labels, observation.decision.recommended)
      const reason = observation.decision.limitedBy ?? 'None'
      decisions.inc({ ...labels, reason })
      reasons.set(key, (reasons.get(key) ?? new Set()).add(reason))
      if (observation.kind !== 'Seen') return
      const { sample } = observation
      pending.set(labels, sample.pending)
      pendingAge.set(labels, sample.pendingAgeMs / 1000)
      undelivered.set(labels, sample.undelivered)
      undeliveredAge.set(labels, sample.undeliveredAgeMs / 1000)
      quarantined.set(labels, sample.quarantined)
      lost.set(labels, sample.lost)
      dead.set(labels, sample.deadLetters)
    },
    reported(key, status) {
      const labels = splitKey(key)
      replicas.set(labels, status.replicas ?? 0)
      for (const { type, status: value } of status.conditions ?? []) {
        for (const each of ['True', 'False', 'Unknown']) condition.set({ ...labels, type, status: each }, each === value ? 1 : 0)
      }
    },
    forgotten(key) {
      const labels = splitKey(key)
      for (const each of perPipeline) each.remove(labels)
      for (const reason of reasons.get(key) ?? []) decisions.remove({ ...labels, reason })
      reasons.delete(key)
      for (const type of conditionTypes)
        for (const status of ['True', 'False', 'Unknown']) condition.remove({ ...labels, type, status })
    },
    leading: (is) => leader.set(queueName, is ? 1 : 0),
    measure: (source) => {
      measured = source
    },
  }
}

function resultOf(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'Success':
      return 'success'
    case 'RequeueAfter':
      return 'requeue_after'
    case 'Retry':
    case 'Terminal':
      return 'error'
    default:
      return outcome satisfies never
  }
}
