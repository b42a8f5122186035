/** docs/metrics.md: the metrics of operator, consumer and worker, from the registries themselves. */
import { Registry } from 'prom-client'
import { createWorkerMetrics } from '../client/metrics.ts'
import { createConsumerMetrics } from '../consumer/metrics.ts'
import { createCoverageMetrics } from '../operator/metrics/coverage.ts'
import { families } from '../operator/metrics/families.ts'
import { createMachineryMetrics } from '../operator/metrics/machinery.ts'
import { createPipelineMetrics } from '../operator/metrics/pipelines.ts'

interface Exported {
  readonly name: string
  readonly help: string
}

/** Without the metrics of every Node process. */
const own = (registry: Registry): readonly Exported[] =>
  registry.getMetricsAsArray().filter(({ name }) => !/^(?:nodejs|process)_/.test(name))

/** Some help texts end without a full stop. */
const sentence = (help: string): string => `${help.replace(/\.$/, '').replaceAll('|', '\\|')}.`

function table(metrics: readonly Exported[]): string {
  const rows = metrics
    .toSorted((a, b) => a.name.localeCompare(b.name))
    .map(({ name, help }) => `| \`${name}\` | ${sentence(help)} |`)
  return ['| Metric | |', '|---|---|', ...rows].join('\n')
}

export function metricsDocument(): string {
  const [pipelines, machinery] = [new Registry(), new Registry()]
  createPipelineMetrics(pipelines)
  createMachineryMetrics(machinery)
  createCoverageMetrics(machinery)
  const consumer = createConsumerMetrics({ namespace: 'default', name: 'ndvi' }).registry
  const worker = createWorkerMetrics({ queue: 'ndvi' }).registry
  return `# Metrics

Operator and consumer serve \`/metrics\` in the text format of Prometheus. A worker registers its metrics in the prom-client registry that you
pass. Each process also has prom-client's metrics of Node (\`process_…\`, \`nodejs_…\`).

A metric named \`…_seconds\` is in seconds. A metric named \`…_total\` is a counter. The
[chart's README](../charts/streampipeline-operator/README.md#alerts) lists the alerts. Each alert has a page in [runbooks](runbooks).

## The operator, per pipeline

The leading operator pod reports these. They have the labels \`namespace\` and \`pipeline\`, as the metrics of consumers and workers have, so that
you can join them. Some have more labels:

| Metric | Labels |
|---|---|
| \`streampipeline_condition\` | \`type\`, \`status\` |
| \`streampipeline_forward_path\` | \`path\` |
| \`streampipeline_info\` | \`stream\`, \`group\`, \`queue\`, \`policy\` |
| \`streampipeline_mode\` | \`mode\` |
| \`streampipeline_scaling_decisions_total\` | \`reason\` |

\`streampipeline_observe_duration_seconds\` has no labels: it is of all pipelines together.
[The three paths](guarantees.md#the-three-paths) explains the values of \`path\`.

${table([...families, ...own(pipelines)])}

## The operator itself

Most of these have the names of controller-runtime and client-go, so that existing dashboards show them. A *key* is one pipeline in the
operator's queue. \`streampipeline_operator_watch_up\` shows [kinds that cannot be watched](operator.md#what-cannot-be-watched).
\`streampipeline_operator_standing_back\` shows [namespaces of another release](operator.md#several-releases).

${table(own(machinery))}

## A consumer

An entry is late if a consumer settled it later than \`scaling.targetAge\` after its \`XADD\`. All metrics have the labels \`namespace\` and
\`pipeline\`. Some have another label:

| Metric | Label |
|---|---|
| \`stream_consumer_dead_letters_total\`, \`stream_consumer_failures_total\` | \`reason\` |
| \`stream_consumer_forward_path\` | \`path\` |
| \`stream_consumer_job_add\` | \`way\` |
| \`stream_consumer_retention_pinned_seconds\`, \`stream_consumer_trimmed_total\` | \`why\` |
| \`stream_consumer_settled_total\` | \`outcome\` |

[The three paths](guarantees.md#the-three-paths) explains Atomic, Split and Portable. [How jobs are added](guarantees.md#how-jobs-are-added)
explains Specialised and BullMQ.

${table(own(consumer))}

## A worker of the library

These have the labels \`queue\`, \`pipeline\` and \`namespace\`. \`pipeline\` is the option \`pipeline\` of \`createWorker\`. Its default is the queue's name.
\`namespace\` is the option of that name. Without it, Prometheus sets the label of the scraped pod. \`job_executions_total\` also has \`outcome\`. The
metrics of upstream services also have \`upstream\`.

${table(own(worker))}
`
}
