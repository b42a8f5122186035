/** docs/metrics.md: what operator, consumer and worker export, from the metrics themselves. */
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

/** Without those of every Node process. */
const own = (registry: Registry): readonly Exported[] =>
  registry.getMetricsAsArray().filter(({ name }) => !/^(?:nodejs|process)_/.test(name))

/** What begins a sentence in one help text ends without a full stop in another. */
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

\`/metrics\` of operator and consumer, in the text format of Prometheus; a worker's are in the registry it is given. Each process also
has prom-client's own about Node (\`process_…\`, \`nodejs_…\`). A name that ends in \`_seconds\` is in seconds, one in \`_total\` only grows.
The chart's alerts are listed in its README, each with a page in [runbooks](runbooks).

## The operator, per pipeline

All metrics of one pipeline, the operator's, the consumers' and the workers', have the labels \`namespace\` and \`pipeline\`, so that joins work.
The leader reports them. Here \`streampipeline_condition\` has \`type\` and \`status\` as well,
\`streampipeline_scaling_decisions_total\` has \`reason\`; \`streampipeline_observe_duration_seconds\` is of all pipelines together.

${table([...families, ...own(pipelines)])}

## The operator itself

Under the names that dashboards for controller-runtime and client-go know; \`streampipeline_operator_…\` tell what it does not see and where it
stands back ([the operator](operator.md)).

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
