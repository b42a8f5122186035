/**
 * `npm run bench`: forwarding by the consumer, with every guarantee on, compared with the loop that articles show and bare
 * `addBulk`. All take the same payloads into the same Redis, each in a process of its own, alternating, on loopback and over a 2
 * ms round trip.
 *
 *   npm run bench                          both payloads, seven rounds
 *   npm run bench -- --quick               1 KiB only, five short rounds, under two minutes
 *   npm run --silent bench -- -o json      for programs
 *   --consumer-flags '--max-old-space-size=64'   V8 flags of the consumer; default: the image's
 *   --consumer-env 'MALLOC_ARENA_MAX=1 A=b'      its environment; default: the image's
 */
import { parseArgs } from 'node:util'
import { compilePipeline } from '../../api/compile.ts'
import { memoryNeed } from '../../api/memory.ts'
import { parsePipeline } from '../../api/validate.ts'
import { startProcess } from '../../test/support/process.ts'
import { startRedis } from '../../test/support/redis.ts'
import { createScope } from '../support/scope.ts'
import { median } from '../support/statistics.ts'
import { bundleConsumer } from './bundle.ts'
import { consumerOptions, consumerSettings } from './consumersettings.ts'
import { measureLatency } from './latency.ts'
import { type Bench, type Contender, measure } from './measure.ts'
import { type Counts, fullPlan, quickPlan, roundTripMs } from './plan.ts'
import { type Distance, report, type Sample, table } from './report.ts'
import { type PayloadKind, pipelineDocument } from './workload.ts'

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    output: { type: 'string', short: 'o', default: 'table' },
    ...consumerOptions,
  },
})
const plan = options.quick ? quickPlan : fullPlan
const { consumerFlags, consumerEnvironment } = consumerSettings(options)
const progress = (line: string) => console.error(line)

/** The bound that `validate` states for this pipeline. */
const budgetBytes = memoryNeed(compilePipeline(parsePipeline(pipelineDocument('redis://127.0.0.1')))).totalBytes
const mebibytes = (bytes: number | undefined) => Math.round((bytes ?? Number.NaN) / 2 ** 18) / 4

const scope = createScope()
try {
  const server = await startRedis(scope)
  const bench: Bench = { server, consumerFlags, consumerEnvironment, program: await bundleConsumer(scope) }
  const proxy = await startProcess(scope, [
    new URL('./delayproxy.ts', import.meta.url).pathname,
    String(server.port),
    String(roundTripMs / 2),
  ])
  const distantPort = Number((await proxy.output(/^listening (\d+)/m))[1])
  const measuredRoundTripMs = await roundTrip(distantPort)
  const samples: Sample[] = []

  const alternate = async (payload: PayloadKind, distance: Distance, counts: Counts, port: number) => {
    for (let round = 1; round <= plan.rounds; round++) {
      for (const [contender, count] of Object.entries(counts) as [Contender, number][]) {
        const sample = { payload, distance, contender, ...(await measure(bench, contender, payload, count, port)) }
        samples.push(sample)
        progress(`${payload} ${distance} round ${round}/${plan.rounds} ${contender}: ${Math.round(sample.perSecond)}/s`)
      }
    }
  }

  for (const payload of plan.payloads) {
    await alternate(payload, 'loopback', plan.loopback, server.port)
    await alternate(payload, '2ms', plan.distant, distantPort)
  }
  const full = median(
    samples.flatMap((sample) =>
      sample.payload === '1KiB' && sample.distance === 'loopback' && sample.contender === 'streampipeline'
        ? [sample.perSecond]
        : [],
    ),
  )
  const large = await measure(bench, 'streampipeline', '256KiB', plan.large, server.port)
  const latency = await measureLatency(bench, '1KiB', full / 2, plan.latencyMs)
  const version = /redis_version:(\S+)/.exec(await server.client().info('server'))?.[1] ?? ''
  const result = report(samples, {
    large: { peakResidentMiB: mebibytes(large.peakResidentBytes), budgetMiB: mebibytes(budgetBytes) },
    latency,
    measuredRoundTripMs,
    consumerFlags,
    consumerEnvironment,
    node: process.version,
    redis: version,
  })
  console.log(options.output === 'json' ? JSON.stringify(result, undefined, 2) : table(result))
} finally {
  await scope.close()
}

/** Median time of a PING through the proxy, milliseconds. */
async function roundTrip(port: number): Promise<number> {
  const { Redis } = await import('ioredis')
  const redis = new Redis({ host: '127.0.0.1', port })
  const times: number[] = []
  for (let i = 0; i < 100; i++) {
    const begun = performance.now()
    await redis.ping()
    times.push(performance.now() - begun)
  }
  redis.disconnect()
  return Math.round(median(times) * 100) / 100
}
