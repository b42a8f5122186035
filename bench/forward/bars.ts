/** The bars of this bench, all in one place, and how a run stands to them. A machine that was not quiet gives no verdict. */
import type { Judgement } from '../support/calibration.ts'

export interface Figures {
  readonly ratios: {
    /** Rate over that of `addBulk`, awaited. */
    readonly overAddBulk: number
    /** The same with three batches in flight. */
    readonly overAddBulkPipelined: number
    readonly overArticleLoopback: number
    readonly overArticle2ms: number
    /** CPU time of Redis' main thread for a job, over that of `addBulk`. */
    readonly redisCpuOverAddBulk: number
  }
  readonly latency: { readonly p50Ms: number; readonly p99Ms: number; readonly controlP99Ms: number }
  readonly memory: { readonly peakMiB: number; readonly peakLargeMiB: number }
  readonly dispatch: { readonly overXadd: number; readonly overXadd2ms: number; readonly manyOverPipelined: number }
  readonly library: { readonly importMs: number; readonly firstDispatchMs: number; readonly installedMiB: number }
}

interface Bar {
  /** Where the figure stands in the JSON. */
  readonly figure: string
  readonly label: string
  readonly unit: string
  readonly value: number
  readonly sign: '≥' | '≤'
  readonly bar: number
}

type Verdict = 'kept' | 'missed' | 'not judged' | 'not measured'

export interface Judged extends Bar {
  readonly verdict: Verdict
}

const least = (figure: string, label: string, unit: string, value: number, bar: number): Bar => ({
  ...{ figure, label, unit, value, bar },
  sign: '≥',
})
const most = (figure: string, label: string, unit: string, value: number, bar: number): Bar => ({
  ...{ figure, label, unit, value, bar },
  sign: '≤',
})

/** A tail that the machine causes by itself says nothing about the consumer. */
const p99Bar = (controlP99Ms: number) => Math.max(10, 3 * controlP99Ms)

export const barsOf = ({ ratios, latency, memory, dispatch, library }: Figures): readonly Bar[] => [
  least('ratios.overAddBulk', 'rate over `addBulk`, awaited', '×', ratios.overAddBulk, 1.15),
  least('ratios.overAddBulkPipelined', 'rate over `addBulk`, three in flight', '×', ratios.overAddBulkPipelined, 0.8),
  least('ratios.overArticleLoopback', 'rate over the simple loop (article)', '×', ratios.overArticleLoopback, 12),
  least('ratios.overArticle2ms', 'the same at a round trip of 2 ms', '×', ratios.overArticle2ms, 140),
  most('ratios.redisCpuOverAddBulk', 'Redis’ CPU for a job over that of `addBulk`', '×', ratios.redisCpuOverAddBulk, 1),
  most('latency.p99Ms', 'p99 from entry to job at half the peak', 'ms', latency.p99Ms, p99Bar(latency.controlP99Ms)),
  most('memory.peakMiB', 'peak memory of the consumer, 1 KiB', 'MiB', memory.peakMiB, 118),
  most('memory.peakLargeMiB', 'the same with payloads of 256 KiB', 'MiB', memory.peakLargeMiB, 192),
  most('dispatch.overXadd', '`dispatch` over a bare XADD', '×', dispatch.overXadd, 2),
  most('dispatch.overXadd2ms', 'the same at a round trip of 2 ms', '×', dispatch.overXadd2ms, 1.05),
  least('dispatch.manyOverPipelined', 'rate of `dispatchMany` over pipelined XADDs', '×', dispatch.manyOverPipelined, 0.7),
  most('library.importMs', 'import beyond that of the peer dependencies', 'ms', library.importMs, 100),
  most('library.installedMiB', 'installed beyond the peer dependencies', 'MiB', library.installedMiB, 15),
]

export const judgeBars = (bars: readonly Bar[], judgement: Judgement): readonly Judged[] =>
  bars.map((each) => ({ ...each, verdict: verdictOf(each, judgement) }))

function verdictOf({ value, sign, bar }: Bar, judgement: Judgement): Verdict {
  if (Number.isNaN(value)) return 'not measured'
  if (!judgement.judged) return 'not judged'
  return (sign === '≥' ? value >= bar : value <= bar) ? 'kept' : 'missed'
}
