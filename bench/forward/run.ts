/** A run of the bench: every measurement of a plan, in order, with a calibration of the machine before the first round and after each. */
import { availableParallelism } from 'node:os'
import { Redis } from 'ioredis'
import { compilePipeline } from '../../api/compile.ts'
import { memoryNeed } from '../../api/memory.ts'
import { parsePipeline } from '../../api/validate.ts'
import { startProcess } from '../../test/support/process.ts'
import { projectRoot } from '../../test/support/root.ts'
import type { Scope } from '../../test/support/scope.ts'
import { measureDispatch } from '../library/dispatch.ts'
import { peers as libraryPeers, measureFirstUse } from '../library/firstuse.ts'
import { installedBytes } from '../library/installed.ts'
import { type Calibration, calibrate } from '../support/calibration.ts'
import { versionIn } from '../support/redisinfo.ts'
import { median } from '../support/statistics.ts'
import type { Bench } from './bench.ts'
import { type Contender, kinds } from './contenders.ts'
import { measureCurves } from './curves.ts'
import { measureLatency } from './latency.ts'
import { measure } from './measure.ts'
import { type PeerState, preparePeer } from './peers.ts'
import { type Distance, jobsOf, type Plan, roundTripMs } from './plan.ts'
import type { Measured, Sample } from './report.ts'
import { type PayloadKind, pipelineDocument } from './workload.ts'

export async function runPlan(
  scope: Scope,
  plan: Plan,
  given: Omit<Bench, 'peers'>,
  progress: (line: string) => void,
): Promise<Measured> {
  const { server } = given
  const { peers, skipped } = await preparePeers(plan, progress)
  const bench: Bench = { ...given, peers }
  const portAt = proxies(scope, server.port)
  const distantPort = await portAt(roundTripMs)
  const measuredRoundTripMs = await roundTrip(distantPort)
  const calibrations: Calibration[] = []
  const between = async () => void calibrations.push(await calibrate())
  const left = new Set(skipped.map(({ contender }) => contender))
  const samples: Sample[] = []

  const alternate = async (payload: PayloadKind, distance: Distance) => {
    const contenders = plan.contenders[distance].filter((contender) => !left.has(contender))
    const [port, tripMs] = distance === 'loopback' ? [server.port, 0] : [distantPort, roundTripMs]
    for (let round = 1; round <= plan.rounds; round++) {
      for (const contender of rotated(contenders, round)) {
        const task = { contender, payload, port, count: jobsOf(plan, contender, payload, tripMs) }
        const sample = { payload, distance, contender, round, ...(await measure(bench, task)) }
        samples.push(sample)
        progress(`${payload} ${distance} round ${round}/${plan.rounds} ${contender}: ${Math.round(sample.perSecond)}/s`)
      }
      await between()
    }
  }

  await between()
  for (const payload of plan.payloads) {
    for (const distance of ['loopback', '2ms'] as const) await alternate(payload, distance)
  }
  const peak = median(
    samples.flatMap(({ payload, distance, contender, perSecond }) =>
      payload === '1KiB' && distance === 'loopback' && contender === 'streampipeline' ? [perSecond] : [],
    ),
  )
  const largeTask = { contender: 'streampipeline', payload: '256KiB', count: plan.large, port: server.port } as const
  const large = await measure(bench, largeTask)
  const pace = { payload: '1KiB', perSecond: Math.round(peak / 2), forMs: plan.latency.forMs } as const
  const latency = await measureLatency(bench, pace, plan.latency.rounds, between)
  progress(`p99 ${latency.p99Ms} ms at ${pace.perSecond}/s, control ${latency.controlP99Ms} ms`)
  const dispatch = await measureDispatch(server.port, distantPort, plan.dispatch)
  await between()
  const firstUse = await measureFirstUse(server, plan.firstUses)
  const tools = { bench, plan, portAt, between, progress }
  return {
    samples,
    latency,
    peakLargeBytes: large.peakResidentBytes ?? Number.NaN,
    dispatch,
    firstUse,
    installedBytes: await installedBytes(projectRoot, libraryPeers),
    skipped,
    curves: plan.curves === undefined ? [] : await measureCurves(tools, plan.curves, peak),
    calibrations,
    circumstances: {
      form: plan.name,
      reduced: plan.reduced === true,
      processors: availableParallelism(),
      node: process.version,
      redis: versionIn(await server.client().info('server')),
      consumerFlags: bench.consumerFlags,
      consumerEnvironment: bench.consumerEnvironment,
      measuredRoundTripMs,
      budgetMiB: Math.round(budgetBytes() / 2 ** 18) / 4,
    },
  }
}

/** The bound that `validate` states for this pipeline. */
const budgetBytes = () => memoryNeed(compilePipeline(parsePipeline(pipelineDocument('redis://127.0.0.1')))).totalBytes

/** Each round begins with another contender, so that the effect of one run on the next falls on all alike. */
const rotated = <T>(list: readonly T[], by: number): readonly T[] => [
  ...list.slice(by % list.length),
  ...list.slice(0, by % list.length),
]

async function preparePeers(plan: Plan, progress: (line: string) => void) {
  const wanted = [...new Set(Object.values(plan.contenders).flat())]
  const states: Partial<Record<'modules' | 'python', PeerState>> = {}
  const skipped: { readonly contender: Contender; readonly reason: string }[] = []
  for (const contender of wanted) {
    const { needs } = kinds[contender]
    if (needs === undefined) continue
    const state = states[needs] ?? (await preparePeer(needs, progress))
    states[needs] = state
    if (state.kind === 'Ready') continue
    skipped.push({ contender, reason: state.reason })
    progress(`${contender} is left out: ${state.reason}`)
  }
  const folderOf = (state: PeerState | undefined) => (state?.kind === 'Ready' ? state.folder : undefined)
  const [modules, python] = [folderOf(states.modules), folderOf(states.python)]
  return { peers: { ...(modules && { modules }), ...(python && { python }) }, skipped }
}

/** @returns the port at which the server answers after a round trip; each proxy is started once */
function proxies(scope: Scope, port: number): (roundTripMs: number) => Promise<number> {
  const started = new Map<number, Promise<number>>()
  const start = async (tripMs: number) => {
    const file = new URL('./delayproxy.ts', import.meta.url).pathname
    const proxy = await startProcess(scope, [file, String(port), String(tripMs / 2)])
    return Number((await proxy.output(/^listening (\d+)/m))[1])
  }
  return async (tripMs) => {
    if (tripMs === 0) return port
    const known = started.get(tripMs) ?? start(tripMs)
    started.set(tripMs, known)
    return await known
  }
}

/** Median time of a PING, milliseconds. */
async function roundTrip(port: number): Promise<number> {
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
