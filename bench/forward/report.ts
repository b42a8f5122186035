/** The figures of a run as JSON: medians over rounds. A ratio is taken within each round, between contenders that ran one after the other. */
import type { DispatchCost } from '../library/dispatch.ts'
import type { FirstUse } from '../library/firstuse.ts'
import { type Calibration, type Judgement, machineState } from '../support/calibration.ts'
import { median } from '../support/statistics.ts'
import { barsOf, type Figures, type Judged, judgeBars } from './bars.ts'
import type { Contender } from './contenders.ts'
import type { Curve } from './curves.ts'
import type { Latency } from './latency.ts'
import type { Measurement } from './measure.ts'
import type { Distance } from './plan.ts'
import type { PayloadKind } from './workload.ts'

export interface Sample extends Measurement {
  readonly payload: PayloadKind
  readonly distance: Distance
  readonly contender: Contender
  readonly round: number
}

/** One contender with one payload at one distance. */
export interface Standing {
  readonly payload: PayloadKind
  readonly distance: Distance
  readonly contender: Contender
  /** Median. */
  readonly perSecond: number
  readonly redisMicroseconds: number
  readonly rounds: readonly number[]
}

interface Circumstances {
  readonly form: 'quick' | 'full'
  /** Less work than the form's own. */
  readonly reduced: boolean
  readonly processors: number
  readonly node: string
  readonly redis: string
  readonly consumerFlags: readonly string[]
  readonly consumerEnvironment: Readonly<Record<string, string>>
  readonly measuredRoundTripMs: number
  /** Of payloads of 256 KiB, as `validate` states it. */
  readonly budgetMiB: number
}

export interface Report extends Figures {
  readonly judged: boolean
  /** Why not. */
  readonly reason?: string
  readonly latency: Latency
  readonly dispatch: Omit<DispatchCost, 'rounds'>
  readonly library: FirstUse & { readonly installedMiB: number }
  readonly bars: readonly Judged[]
  /** Each ratio by round, for comparisons with other runs. */
  readonly rounds: Readonly<Record<string, readonly number[]>>
  readonly standings: readonly Standing[]
  readonly machine: { readonly contention: number; readonly drift: number; readonly calibrations: number }
  readonly skipped: readonly { readonly contender: Contender; readonly reason: string }[]
  readonly curves: readonly Curve[]
  readonly circumstances: Circumstances
}

export interface Measured {
  readonly samples: readonly Sample[]
  readonly calibrations: readonly Calibration[]
  readonly latency: Latency
  readonly peakLargeBytes: number
  readonly dispatch: DispatchCost
  readonly firstUse: FirstUse
  readonly installedBytes: number
  readonly skipped: Report['skipped']
  readonly curves: readonly Curve[]
  readonly circumstances: Circumstances
}

export function report(measured: Measured): Report {
  const { samples, latency, firstUse, skipped, curves, circumstances } = measured
  const { rounds: dispatchRounds, ...dispatch } = measured.dispatch
  const { judgement: quiet, ...machine } = machineState(measured.calibrations)
  const judgement: Judgement = circumstances.reduced
    ? { judged: false, reason: 'the run was reduced, by --scale or --rounds' }
    : quiet
  const ratios = (distance: Distance, other: Contender, figure: 'perSecond' | 'redisMicroseconds' = 'perSecond') =>
    roundRatios(samples, distance, other, figure)
  const rounds = {
    'ratios.overAddBulk': ratios('loopback', 'addBulk'),
    'ratios.overAddBulkPipelined': ratios('loopback', 'addBulk x3'),
    'ratios.overArticleLoopback': ratios('loopback', 'article'),
    'ratios.overArticle2ms': ratios('2ms', 'article'),
    'ratios.redisCpuOverAddBulk': ratios('loopback', 'addBulk', 'redisMicroseconds'),
    'dispatch.overXadd': dispatchRounds.overXadd.map(round3),
    'dispatch.overXadd2ms': dispatchRounds.overXadd2ms.map(round3),
    'dispatch.manyOverPipelined': dispatchRounds.manyOverPipelined.map(round3),
  }
  const middle = (figure: keyof typeof rounds) => round3(median(rounds[figure]))
  const peaks = samples.filter(({ contender, payload }) => contender === 'streampipeline' && payload === '1KiB')
  const peakBytes = Math.max(...peaks.map(({ peakResidentBytes }) => peakResidentBytes ?? Number.NaN))
  const figures = {
    ratios: {
      overAddBulk: middle('ratios.overAddBulk'),
      overAddBulkPipelined: middle('ratios.overAddBulkPipelined'),
      overArticleLoopback: middle('ratios.overArticleLoopback'),
      overArticle2ms: middle('ratios.overArticle2ms'),
      redisCpuOverAddBulk: middle('ratios.redisCpuOverAddBulk'),
    },
    latency,
    memory: { peakMiB: mebibytes(peakBytes), peakLargeMiB: mebibytes(measured.peakLargeBytes) },
    dispatch: {
      dispatchMs: round3(dispatch.dispatchMs),
      xaddMs: round3(dispatch.xaddMs),
      overXadd: middle('dispatch.overXadd'),
      overXadd2ms: middle('dispatch.overXadd2ms'),
      manyOverPipelined: middle('dispatch.manyOverPipelined'),
    },
    library: {
      importMs: round3(firstUse.importMs),
      firstDispatchMs: round3(firstUse.firstDispatchMs),
      peersMs: round3(firstUse.peersMs),
      installedMiB: mebibytes(measured.installedBytes),
    },
  }
  return {
    ...judgement,
    ...figures,
    bars: judgeBars(barsOf(figures), judgement),
    rounds,
    standings: standingsOf(samples),
    machine,
    skipped,
    curves,
    circumstances,
  }
}

/** This consumer's figure over another contender's, by round. The bars are stated for payloads of 1 KiB. */
function roundRatios(
  samples: readonly Sample[],
  distance: Distance,
  other: Contender,
  figure: 'perSecond' | 'redisMicroseconds',
): readonly number[] {
  const of = (contender: Contender) =>
    new Map(
      samples
        .filter((sample) => sample.payload === '1KiB' && sample.distance === distance && sample.contender === contender)
        .map((sample) => [sample.round, sample[figure]]),
    )
  const others = of(other)
  return [...of('streampipeline')].flatMap(([round, own]) => {
    const theirs = others.get(round)
    return theirs === undefined ? [] : [round3(own / theirs)]
  })
}

function standingsOf(samples: readonly Sample[]): readonly Standing[] {
  const groups = Map.groupBy(samples, ({ payload, distance, contender }) => [payload, distance, contender].join())
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const rates = group.map(({ perSecond }) => Math.round(perSecond))
    const { payload, distance, contender } = first
    const redisMicroseconds = round3(median(group.map((sample) => sample.redisMicroseconds)))
    return [{ payload, distance, contender, perSecond: Math.round(median(rates)), redisMicroseconds, rounds: rates }]
  })
}

const round3 = (value: number) => Math.round(value * 1_000) / 1_000
const mebibytes = (bytes: number) => Math.round(bytes / 2 ** 18) / 4
