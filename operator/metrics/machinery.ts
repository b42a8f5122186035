/** Metrics of the machinery, under the names that dashboards for controller-runtime and client-go already know. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { type ControllerObserver, type Outcome, workers } from '../kubernetes/controller.ts'
import type { QueueObserver } from '../kubernetes/queue.ts'

export interface MachineryMetrics {
  readonly queue: QueueObserver
  readonly controller: ControllerObserver
  /** A request to the API server was answered; code 0: it was not. */
  responded(method: string, code: number): void
  leading(is: boolean): void
  /** Numbers read at scrape time. */
  measure(source: QueueMeasures): void
}

interface QueueMeasures {
  depth(): number
  longestRunningMs(): number
  /** Of all keys under way together. */
  unfinishedMs(): number
}

const controller = { controller: 'streampipeline' } as const
const queue = { name: 'streampipeline' } as const
const buckets = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export function createMachineryMetrics(registry: Registry): MachineryMetrics {
  return { ...controllerMetrics(registry), ...queueMetrics(registry), ...processMetrics(registry) }
}

function controllerMetrics(registry: Registry): Pick<MachineryMetrics, 'controller'> {
  const registers = [registry]
  const labelNames = ['controller'] as const
  const reconciles = new Counter({
    name: 'controller_runtime_reconcile_total',
    help: 'Reconciles by result.',
    labelNames: [...labelNames, 'result'],
    registers,
  })
  const errors = new Counter({
    name: 'controller_runtime_reconcile_errors_total',
    help: 'Reconciles that failed.',
    labelNames,
    registers,
  })
  const took = new Histogram({
    name: 'controller_runtime_reconcile_time_seconds',
    help: 'Time per reconcile.',
    labelNames,
    buckets,
    registers,
  })
  const panics = new Counter({
    name: 'controller_runtime_reconcile_panics_total',
    help: 'Reconciles that failed by a bug of the operator.',
    labelNames,
    registers,
  })
  const most = new Gauge({
    name: 'controller_runtime_max_concurrent_reconciles',
    help: 'Most reconciles at a time.',
    labelNames,
    registers,
  })
  const active = new Gauge({ name: 'controller_runtime_active_workers', help: 'Reconciles under way.', labelNames, registers })
  for (const result of ['success', 'error', 'requeue', 'requeue_after']) reconciles.inc({ ...controller, result }, 0)
  errors.inc(controller, 0)
  panics.inc(controller, 0)
  most.set(controller, workers)
  active.set(controller, 0)
  return {
    controller: {
      active: (busy) => active.set(controller, busy),
      reconciled(_key, outcome, tookMs) {
        reconciles.inc({ ...controller, result: resultOf(outcome) })
        took.observe(controller, tookMs / 1000)
        if (outcome.kind !== 'Retry' && outcome.kind !== 'Terminal') return
        errors.inc(controller)
        if (outcome.error.code === 'Internal') panics.inc(controller)
      },
    },
  }
}

function queueMetrics(registry: Registry): Pick<MachineryMetrics, 'queue' | 'measure'> {
  const registers = [registry]
  const labelNames = ['name'] as const
  const adds = new Counter({ name: 'workqueue_adds_total', help: 'Keys that were added.', labelNames, registers })
  const retries = new Counter({
    name: 'workqueue_retries_total',
    help: 'Keys that were added again after a failure.',
    labelNames,
    registers,
  })
  const histogram = (name: string, help: string) => new Histogram({ name, help, labelNames, buckets, registers })
  const waited = histogram('workqueue_queue_duration_seconds', 'Time from the addition of a key to the start of its reconcile.')
  const worked = histogram('workqueue_work_duration_seconds', 'Time of the reconcile of a key.')
  adds.inc(queue, 0)
  retries.inc(queue, 0)
  let measured: QueueMeasures = { depth: () => 0, longestRunningMs: () => 0, unfinishedMs: () => 0 }
  const atScrape = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.set(queue, read())
      },
    })
  atScrape('workqueue_depth', 'Keys that wait.', () => measured.depth())
  const longest = 'Time since the start of the longest reconcile under way.'
  atScrape('workqueue_longest_running_processor_seconds', longest, () => measured.longestRunningMs() / 1000)
  atScrape(
    'workqueue_unfinished_work_seconds',
    'Sum of the times since the start of all reconciles under way.',
    () => measured.unfinishedMs() / 1000,
  )
  return {
    queue: {
      added: () => adds.inc(queue),
      retried: () => retries.inc(queue),
      waited: (ms) => waited.observe(queue, ms / 1000),
      worked: (ms) => worked.observe(queue, ms / 1000),
    },
    measure(source) {
      measured = source
    },
  }
}

function processMetrics(registry: Registry): Pick<MachineryMetrics, 'responded' | 'leading'> {
  const registers = [registry]
  const requests = new Counter({
    name: 'rest_client_requests_total',
    help: 'Requests to the API server by method and status code. Code 0: no answer.',
    labelNames: ['method', 'code'],
    registers,
  })
  const leader = new Gauge({
    name: 'leader_election_master_status',
    help: '1 while this process leads.',
    labelNames: ['name'],
    registers,
  })
  leader.set(queue, 0)
  return {
    responded: (method, code) => requests.inc({ method, code: String(code) }),
    leading: (is) => leader.set(queue, is ? 1 : 0),
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
