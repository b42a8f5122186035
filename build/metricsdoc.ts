/** docs/metrics.md: the metrics of operator, consumer and worker, from the registries themselves. */
import { Registry } from 'prom-client'
import { createWorkerMetrics } from '../client/metrics.ts'
import { createConsumerMetrics } from '../consumer/metrics.ts'
import { createCoverageMetrics } from '../operator/metrics/coverage.ts'
import { createMachineryMetrics } from '../operator/metrics/machinery.ts'
import { createPipelineMetrics, families } from '../operator/metrics/pipelines.ts'

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
  const worker = createWorkerMetrics('ndvi').registry
  return `# Metrics

Operator and consumer serve \`/metrics\` in the text format of Prometheus. A worker puts its metrics into the registry that it is given. Each
process also has prom-client's metrics of Node (\`process_…\`, \`nodejs_…\`).

A name in \`_seconds\` is in seconds. A name in \`_total\` only grows. The [chart's README](../charts/streampipeline-operator/README.md#alerts)
lists the alerts. Each has a page in [runbooks](runbooks).

## The operator, per pipeline

The leader reports these, with the labels \`namespace\` and \`name\`.

- \`streampipeline_condition\` also has \`type\` and \`status\`.
- \`streampipeline_scaling_decisions_total\` also has \`reason\`.
- \`streampipeline_observe_duration_seconds\` covers all pipelines together, without these labels.

${table([...families, ...own(pipelines)])}

## The operator itself

These have the names that dashboards for controller-runtime and client-go know. \`streampipeline_operator_watch_up\` shows
[kinds that cannot be watched](operator.md#what-cannot-be-watched), and \`streampipeline_operator_standing_back\` shows
[namespaces of another release](operator.md#several-releases).

${table(own(machinery))}

## A consumer

Labels \`namespace\` and \`pipeline\`.

${table(own(consumer))}

## A worker of the library

Label \`queue\`.

${table(own(worker))}
`
}
