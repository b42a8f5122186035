/**
 * Metrics per pipeline (families.ts). Each has some fifty series. So they are read and written out at each scrape, and only
 * counters are held. Gone with the pipeline.
 */
import { setImmediate } from 'node:timers/promises'
import { Histogram, type Registry } from 'prom-client'
import { splitKey } from '../kubernetes/objects.ts'
import type { Observation } from '../plan/observed.ts'
import { type Counts, families, type PipelineReading } from './families.ts'

export interface PipelineMetrics {
  looked(key: string, observation: Observation, tookMs: number): void
  forgotten(key: string): void
  /** Where readings come from at a scrape; undefined: nothing is reported, as on a standby. */
  read(source: (() => readonly PipelineReading[]) | undefined): void
  /** In the text format of Prometheus. Lets other work in between, so that no scrape holds the loop for long. */
  text(): Promise<string>
}

/** Work of a scrape without a pause. */
const sliceMs = 4

/** Appends each family's series of one pipeline to that family's lines. */
function write(reading: PipelineReading, counts: Counts | undefined, lines: readonly string[][]): void {
  const { namespace, name } = splitKey(reading.key)
  const labels = `{namespace="${namespace}",pipeline="${name}"`
  families.forEach((family, index) => {
    for (const [more, value] of family.values(reading, counts)) lines[index]?.push(`${family.name}${labels}${more}} ${value}`)
  })
}

export function createPipelineMetrics(registry: Registry): PipelineMetrics {
  const look = new Histogram({
    name: 'streampipeline_observe_duration_seconds',
    help: 'Time that the operator takes to observe one pipeline in Redis.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5],
    registers: [registry],
  })
  const counted = new Map<string, Counts>()
  let source: (() => readonly PipelineReading[]) | undefined

  function countsOf(key: string): Counts {
    const held = counted.get(key)
    if (held !== undefined) return held
    const fresh: Counts = { decisions: new Map(), lost: 0, lostBefore: 0 }
    counted.set(key, fresh)
    return fresh
  }

  return {
    looked(key, observation, tookMs) {
      look.observe(tookMs / 1000)
      if (observation.kind === 'None') return
      const counts = countsOf(key)
      const reason = observation.decision.limitedBy ?? 'None'
      counts.decisions.set(reason, (counts.decisions.get(reason) ?? 0) + 1)
      if (observation.kind !== 'Seen') return
      counts.lost += Math.max(0, observation.sample.lost - counts.lostBefore)
      counts.lostBefore = observation.sample.lost
    },
    forgotten: (key) => void counted.delete(key),
    read(next) {
      source = next
    },
    async text() {
      const readings = source?.() ?? []
      const lines = families.map(({ name, type, help }) => [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`])
      let sliceBegan = performance.now()
      for (const reading of readings) {
        if (performance.now() - sliceBegan > sliceMs) {
          await setImmediate()
          sliceBegan = performance.now()
        }
        write(reading, counted.get(reading.key), lines)
      }
      const texts: string[] = []
      for (const each of lines) {
        texts.push(each.join('\n'))
        await setImmediate()
      }
      return `${texts.join('\n')}\n`
    },
  }
}
