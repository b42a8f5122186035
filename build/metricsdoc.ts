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

Operator and consumer serve \`/metrics\` in the text format of Prometheus. A worker puts its metrics into the registry that it is given. Each
process also has prom-client's metrics of Node (\`process_…\`, \`nodejs_…\`).

A name in \`_seconds\` is in seconds. A name in \`_total\` only grows. The [chart's README](../charts/streampipeline-operator/README.md#alerts)
lists the alerts. Each has a page in [runbooks](runbooks).

## The operator, per pipeline

All metrics of one pipeline, the operator's, the consumers' and the workers', have the labels \`namespace\` and \`pipeline\`, so that joins work.
The leader reports them. Here \`streampipeline_condition\` has \`type\` and \`status\` as well,
\`streampipeline_scaling_decisions_total\` has \`reason\`; \`streampipeline_observe_duration_seconds\` is of all pipelines together.

${table([...families, ...own(pipelines)])}

## The operator itself

These have the names that dashboards for controller-runtime and client-go know. \`streampipeline_operator_watch_up\` shows
[kinds that cannot be watched](operator.md#what-cannot-be-watched), and \`streampipeline_operator_standing_back\` shows
[namespaces of another release](operator.md#several-releases).

${table(own(machinery))}

## A consumer

Labels \`namespace\` and \`pipeline\`. An entry is late if it was settled later than \`scaling.targetAge\` after it was added.

${table(own(consumer))}

## A worker of the library

Labels \`queue\` and \`pipeline\`, which is the queue's name unless \`createWorker\` is given another \`pipeline\`; \`namespace\` where it is given,
else the scrape's own.

${table(own(worker))}
`
}
