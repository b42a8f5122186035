/** The operator's metrics: per pipeline, of the machinery, and of the process. */
import { collectDefaultMetrics, Registry } from 'prom-client'
import { collectMemoryLimit } from '../../process/memorylimit.ts'
import { type CoverageMetrics, createCoverageMetrics } from './coverage.ts'
import { createMachineryMetrics, type MachineryMetrics } from './machinery.ts'
import { createPipelineMetrics, type PipelineMetrics } from './pipelines.ts'

export interface OperatorMetrics extends PipelineMetrics, MachineryMetrics, CoverageMetrics {
  readonly contentType: string
  /** All of them, in the text format of Prometheus. */
  scrape(): Promise<string>
  /** Releases what measuring the process holds. */
  close(): void
}

export function createMetrics(): OperatorMetrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  collectMemoryLimit(registry)
  const pipelines = createPipelineMetrics(registry)
  return {
    contentType: registry.contentType,
    scrape: async () => `${await registry.metrics()}${await pipelines.text()}`,
    ...pipelines,
    ...createMachineryMetrics(registry),
    ...createCoverageMetrics(registry),
    close: () => registry.clear(),
  }
}
