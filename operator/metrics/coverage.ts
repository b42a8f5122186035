/**
 * Metrics of the kinds that the operator cannot watch, and of the namespaces that it leaves to another release. Each scrape reads them.
 */
import { Gauge, type Registry } from 'prom-client'

export interface CoverageMetrics {
  cover(source: CoverageSource): void
}

interface CoverageSource {
  views(): readonly { readonly kind: string; readonly namespace: string; readonly lit: boolean }[]
  theirs(): readonly { readonly namespace: string; readonly holder: string }[]
}

export function createCoverageMetrics(registry: Registry): CoverageMetrics {
  let source: CoverageSource = { views: () => [], theirs: () => [] }
  const registers = [registry]
  new Gauge({
    name: 'streampipeline_operator_watch_up',
    help: '1 while the operator watches objects of this kind in this namespace (empty: all); 0 while it cannot.',
    labelNames: ['kind', 'namespace'],
    registers,
    collect() {
      this.reset()
      for (const { kind, namespace, lit } of source.views()) this.set({ kind, namespace }, lit ? 1 : 0)
    },
  })
  new Gauge({
    name: 'streampipeline_operator_standing_back',
    help: '1 for each namespace that another release serves. The label holder names that other release.',
    labelNames: ['namespace', 'holder'],
    registers,
    collect() {
      this.reset()
      for (const { namespace, holder } of source.theirs()) this.set({ namespace, holder }, 1)
    },
  })
  return {
    cover(from) {
      source = from
    },
  }
}
