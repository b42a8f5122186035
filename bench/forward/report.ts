/** The figures as JSON and as a table: medians over rounds, and ratios between contenders of the same run. */
import { median } from '../support/statistics.ts'
import type { Latency } from './latency.ts'
import type { Contender, Measurement } from './measure.ts'
import type { PayloadKind } from './workload.ts'

export type Distance = 'loopback' | '2ms'

export interface Sample extends Measurement {
  readonly payload: PayloadKind
  readonly distance: Distance
  readonly contender: Contender
}

interface Ratios {
  readonly overArticleLoopback: number
  readonly overAddBulk: number
  readonly overArticle2ms: number
}

export interface Report {
  /** The least favourable payload's. */
  readonly ratios: Ratios
  readonly bars: Ratios & { readonly peakResidentMiB: number; readonly p99Ms: number }
  readonly byPayload: Readonly<Partial<Record<PayloadKind, Ratios>>>
  /** Consumer's peak, with 1 KiB payloads, at full load. */
  readonly peakResidentMiB: number
  /** The same with payloads of 256 KiB, and the bound that `validate` states for that pipeline. */
  readonly large: { readonly peakResidentMiB: number; readonly budgetMiB: number }
  readonly latency: Latency
  readonly perSecond: readonly {
    readonly payload: PayloadKind
    readonly distance: Distance
    readonly contender: Contender
    readonly median: number
    readonly rounds: readonly number[]
  }[]
  readonly measuredRoundTripMs: number
  readonly consumerFlags: readonly string[]
  readonly consumerEnvironment: Readonly<Record<string, string>>
  readonly node: string
  readonly redis: string
}

const bars = { overArticleLoopback: 6, overAddBulk: 0.95, overArticle2ms: 120, peakResidentMiB: 128, p99Ms: 10 } as const

export function report(
  samples: readonly Sample[],
  circumstances: Pick<
    Report,
    'large' | 'latency' | 'measuredRoundTripMs' | 'consumerFlags' | 'consumerEnvironment' | 'node' | 'redis'
  >,
): Report {
  const payloads = [...new Set(samples.map(({ payload }) => payload))]
  const contenders = [...new Set(samples.map(({ contender }) => contender))]
  const rounds = (payload: PayloadKind, distance: Distance, contender: Contender) =>
    samples
      .filter((sample) => sample.payload === payload && sample.distance === distance && sample.contender === contender)
      .map(({ perSecond }) => perSecond)
  const ratio = (payload: PayloadKind, distance: Distance, other: Contender) =>
    round2(median(rounds(payload, distance, 'streampipeline')) / median(rounds(payload, distance, other)))
  const byPayload = Object.fromEntries(
    payloads.map((payload) => [
      payload,
      {
        overArticleLoopback: ratio(payload, 'loopback', 'article'),
        overAddBulk: ratio(payload, 'loopback', 'addBulk'),
        overArticle2ms: ratio(payload, '2ms', 'article'),
      },
    ]),
  )
  const worst = (name: keyof Ratios) => Math.min(...Object.values(byPayload).map((ratios) => ratios[name]))
  const peaks = samples.filter(({ contender, payload }) => contender === 'streampipeline' && payload === '1KiB')
  return {
    ratios: {
      overArticleLoopback: worst('overArticleLoopback'),
      overAddBulk: worst('overAddBulk'),
      overArticle2ms: worst('overArticle2ms'),
    },
    bars,
    byPayload,
    peakResidentMiB: round2(Math.max(...peaks.map(({ peakResidentBytes }) => peakResidentBytes ?? Number.NaN)) / 2 ** 20),
    ...circumstances,
    perSecond: payloads.flatMap((payload) =>
      (['loopback', '2ms'] as const).flatMap((distance) =>
        contenders.flatMap((contender) => {
          const found = rounds(payload, distance, contender).map(Math.round)
          return found.length === 0 ? [] : [{ payload, distance, contender, median: Math.round(median(found)), rounds: found }]
        }),
      ),
    ),
  }
}

export function table(result: Report): string {
  const { ratios, latency, large } = result
  const rate = (value: number) => value.toLocaleString('en-US').padStart(8)
  const lines = result.perSecond.map(
    ({ payload, distance, contender, median: middle, rounds }) =>
      `${payload.padEnd(6)} ${distance.padEnd(9)} ${contender.padEnd(15)} ${rate(middle)}/s   ${rounds.join(' ')}`,
  )
  const compared = (label: string, value: number, sign: '≥' | '≤' | '<', bar: number) => {
    const kept = sign === '≥' ? value >= bar : sign === '≤' ? value <= bar : value < bar
    return `${label.padEnd(44)} ${String(value).padStart(8)}  ${sign} ${bar}  ${kept ? 'ok' : 'MISSED'}`
  }
  return [
    'payload where     contender          median   rounds',
    ...lines,
    '',
    compared("times the article's loop, loopback", ratios.overArticleLoopback, '≥', bars.overArticleLoopback),
    compared('times bare addBulk, loopback', ratios.overAddBulk, '≥', bars.overAddBulk),
    compared(
      `times the article's loop, 2 ms (${result.measuredRoundTripMs} seen)`,
      ratios.overArticle2ms,
      '≥',
      bars.overArticle2ms,
    ),
    compared('peak memory of the consumer, 1 KiB, MiB', result.peakResidentMiB, '≤', bars.peakResidentMiB),
    compared('peak memory of the consumer, 256 KiB, MiB', large.peakResidentMiB, '≤', large.budgetMiB),
    compared(`p99 entry to job at ${Math.round(latency.perSecond)}/s, ms (p50 ${latency.p50Ms})`, latency.p99Ms, '<', bars.p99Ms),
    `consumer: Node ${result.node} ${result.consumerFlags.join(' ')}; Redis ${result.redis}`,
  ].join('\n')
}

const round2 = (value: number) => Math.round(value * 100) / 100
