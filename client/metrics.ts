/**
 * A worker's metrics, for Prometheus. Several workers may share one registry, which holds each name once. Each worker uses the metric that
 * is already there; the `queue` label separates their numbers.
 */
import { Counter, Histogram, Registry } from 'prom-client'
import { printable } from '../api/printable.ts'

const executionOutcomes = ['completed', 'failed', 'skipped', 'postponed', 'moved', 'lock_lost'] as const

/**
 * How one run of a job ended: `completed`; `failed`: the handler threw; `skipped`: its work was already done;
 * `postponed`: another worker holds its execution lock; `moved`: the handler moved the job to wait for a time, for its children or for the
 * rate limit, which is no failure; `lock_lost`: the lock was lost during the run.
 */
export type ExecutionOutcome = (typeof executionOutcomes)[number]

export interface WorkerMetrics {
  readonly registry: Registry
  executed(outcome: ExecutionOutcome): void
  /** Runs `call` and counts it as one request to `upstream`; a rejection counts as a failure and is passed on. */
  upstream<T>(upstream: string, call: () => Promise<T> | T): Promise<T>
}

// Upstream services answer in anything between a cache hit and minutes of raster work.
const durationBuckets = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]

function counter<Label extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly Label[],
): Counter<Label> {
  const present = registry.getSingleMetric(name) as Counter<Label> | undefined
  return present ?? new Counter({ name, help, labelNames: [...labelNames], registers: [registry] })
}

/** A queue's or an upstream's name as a label shows it. It is long, so that different names stay different. */
const mostLabel = 256

interface WorkerLabels {
  /** The BullMQ queue. */
  readonly queue: string
  /** Name of the StreamPipeline; default: the queue's name. */
  readonly pipeline?: string | undefined
  /** Namespace of the StreamPipeline; default: none, so that the scrape's own holds. */
  readonly namespace?: string | undefined
}

type Labels = 'namespace' | 'pipeline' | 'queue'

function labelsOf({ queue, pipeline = queue, namespace }: WorkerLabels): Partial<Record<Labels, string>> {
  return {
    queue: printable(queue, mostLabel),
    pipeline: printable(pipeline, mostLabel),
    ...(namespace === undefined ? {} : { namespace: printable(namespace, mostLabel) }),
  }
}

export function createWorkerMetrics(given: WorkerLabels, registry: Registry = new Registry()): WorkerMetrics {
  const own = labelsOf(given)
  const names = ['namespace', 'pipeline', 'queue'] as const
  const executions = counter(registry, 'job_executions_total', 'Runs of jobs, by outcome', [...names, 'outcome'])
  const requests = counter(registry, 'upstream_requests_total', 'Calls of upstream services', [...names, 'upstream'])
  const failures = counter(registry, 'upstream_failures_total', 'Calls of upstream services that failed', [...names, 'upstream'])
  const durations =
    (registry.getSingleMetric('upstream_duration_seconds') as Histogram<Labels | 'upstream'> | undefined) ??
    new Histogram({
      name: 'upstream_duration_seconds',
      help: 'Duration of calls of upstream services',
      labelNames: [...names, 'upstream'],
      buckets: durationBuckets,
      registers: [registry],
    })
  for (const outcome of executionOutcomes) executions.inc({ ...own, outcome }, 0)

  return {
    registry,
    executed(outcome) {
      executions.inc({ ...own, outcome })
    },
    async upstream(upstream, call) {
      const labels = { ...own, upstream: printable(upstream, mostLabel) }
      requests.inc(labels)
      failures.inc(labels, 0)
      const stop = durations.startTimer(labels)
      try {
        return await call()
      } catch (thrown) {
        failures.inc(labels)
        throw thrown
      } finally {
        stop()
      }
    },
  }
}
