/** The operator's metrics: per pipeline, of the machinery, and of the process. */
import { collectDefaultMetrics, Registry } from 'prom-client'
import { createMachineryMetrics, type MachineryMetrics } from './machinery.ts'
import { createPipelineMetrics, type PipelineMetrics } from './pipelines.ts'

export interface OperatorMetrics extends PipelineMetrics, MachineryMetrics {
  readonly registry: Registry
  /** Releases what measuring the process holds. */
  close(): void
}

export function createMetrics(): OperatorMetrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return {
    registry,
    ...createPipelineMetrics(registry),
    ...createMachineryMetrics(registry),
    close: () => registry.clear(),
  }
}
