/** Curves of the full form: how rate and latency change with load, batch, round trip and number of consumers. Payloads of 1 KiB. */
import { median } from '../support/statistics.ts'
import type { Bench } from './bench.ts'
import type { Contender } from './contenders.ts'
import { measureLatency } from './latency.ts'
import { measure, type Task } from './measure.ts'
import { type CurvePlan, jobsOf, type Plan } from './plan.ts'

export interface Curve {
  /** Names the plot's file. */
  readonly name: 'load' | 'batch' | 'roundtrip' | 'consumers'
  readonly title: string
  readonly x: Axis
  readonly y: Axis
  readonly series: readonly Series[]
}

export interface Axis {
  readonly label: string
  /** `Log` for values that differ by orders of magnitude; none of them is 0. */
  readonly scale: 'Linear' | 'Log'
}

export interface Series {
  readonly label: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

interface CurveTools {
  readonly bench: Bench
  readonly plan: Plan
  /** Of the server by way of a proxy; 0 is the server's own. */
  readonly portAt: (roundTripMs: number) => Promise<number>
  /** Runs after each round. */
  readonly between: () => Promise<unknown>
  readonly progress: (line: string) => void
}

const payload = '1KiB'
const rate: Axis = { label: 'jobs a second', scale: 'Linear' }

/** @param peakPerSecond the measured rate at full speed */
export async function measureCurves(tools: CurveTools, curves: CurvePlan, peakPerSecond: number): Promise<readonly Curve[]> {
  return [
    await loadCurve(tools, curves, peakPerSecond),
    await batchCurve(tools, curves),
    await roundTripCurve(tools, curves),
    await consumersCurve(tools, curves),
  ]
}

async function loadCurve({ bench, between, progress }: CurveTools, curves: CurvePlan, peak: number): Promise<Curve> {
  const found: { readonly at: number; readonly latency: Awaited<ReturnType<typeof measureLatency>> }[] = []
  for (const share of curves.loads) {
    const pace = { payload, perSecond: Math.round(peak * share), forMs: curves.loadMs } as const
    const latency = await measureLatency(bench, pace, curves.rounds, between)
    found.push({ at: pace.perSecond, latency })
    progress(`load ${pace.perSecond}/s: p99 ${latency.p99Ms} ms, control ${latency.controlP99Ms} ms`)
  }
  const series = (label: string, figure: 'p50Ms' | 'p99Ms' | 'controlP50Ms' | 'controlP99Ms'): Series => ({
    label,
    points: found.map(({ at, latency }) => [at, latency[figure]]),
  })
  return {
    name: 'load',
    title: 'Time from entry to job under an even load',
    x: { label: 'entries a second', scale: 'Linear' },
    y: { label: 'milliseconds', scale: 'Linear' },
    series: [
      series('p99', 'p99Ms'),
      series('p50', 'p50Ms'),
      series('p99 of the control', 'controlP99Ms'),
      series('p50 of the control', 'controlP50Ms'),
    ],
  }
}

/** Alternates the tasks, and takes the median rate of each. */
async function ratesOf({ bench, between, progress }: CurveTools, rounds: number, tasks: readonly Task[]): Promise<number[]> {
  const rates = tasks.map((): number[] => [])
  for (let round = 1; round <= rounds; round++) {
    for (const [at, task] of tasks.entries()) rates[at]?.push((await measure(bench, task)).perSecond)
    await between()
    progress(`curve round ${round}/${rounds}: ${rates.map((each) => Math.round(each.at(-1) ?? Number.NaN)).join(' ')} a second`)
  }
  return rates.map((each) => Math.round(median(each)))
}

const ownTask = ({ bench, plan }: CurveTools): Task => ({
  contender: 'streampipeline',
  payload,
  count: jobsOf(plan, 'streampipeline', payload, 0),
  port: bench.server.port,
})

async function batchCurve(tools: CurveTools, { rounds, batchSizes }: CurvePlan): Promise<Curve> {
  const rates = await ratesOf(
    tools,
    rounds,
    batchSizes.map((batchSize) => ({ ...ownTask(tools), batchSize })),
  )
  return {
    name: 'batch',
    title: 'Rate by `spec.source.batchSize`',
    x: { label: 'entries read at a time', scale: 'Log' },
    y: rate,
    series: [{ label: 'streampipeline', points: batchSizes.map((size, at) => [size, rates[at] ?? Number.NaN]) }],
  }
}

async function roundTripCurve(tools: CurveTools, curves: CurvePlan): Promise<Curve> {
  const { rounds, roundTripsMs, roundTripContenders } = curves
  const series = new Map<Contender, [number, number][]>(roundTripContenders.map((contender) => [contender, []]))
  for (const tripMs of roundTripsMs) {
    const port = await tools.portAt(tripMs)
    const tasks = roundTripContenders.map(
      (contender): Task => ({ contender, payload, port, count: jobsOf(tools.plan, contender, payload, tripMs) }),
    )
    const rates = await ratesOf(tools, rounds, tasks)
    for (const [at, contender] of roundTripContenders.entries()) series.get(contender)?.push([tripMs, rates[at] ?? Number.NaN])
  }
  return {
    name: 'roundtrip',
    title: 'Rate by round trip to Redis',
    x: { label: 'round trip, milliseconds', scale: 'Linear' },
    y: { ...rate, scale: 'Log' },
    series: [...series].map(([label, points]) => ({ label, points })),
  }
}

async function consumersCurve(tools: CurveTools, { rounds, consumers }: CurvePlan): Promise<Curve> {
  const own = ownTask(tools)
  // The first consumer has worked for a while before a second one starts. With twice the jobs only a small part of them is gone by
  // then.
  const tasks = consumers.map((processes) => ({ ...own, processes, count: own.count * 2 }))
  const rates = await ratesOf(tools, rounds, tasks)
  return {
    name: 'consumers',
    title: 'Rate by number of consumers',
    x: { label: 'consumers', scale: 'Linear' },
    y: rate,
    series: [{ label: 'streampipeline', points: consumers.map((count, at) => [count, rates[at] ?? Number.NaN]) }],
  }
}
