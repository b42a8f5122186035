/** Cost of `dispatch` and `dispatchMany` beside bare XADDs, as ratios of one process, so that the machine's load matters little. */
import { fileURLToPath } from 'node:url'
import { startProcess } from '../../test/support/process.ts'
import { createScope } from '../support/scope.ts'
import { median } from '../support/statistics.ts'
import type { DispatchInput, DispatchRound } from './dispatchprogram.ts'

export interface DispatchCost {
  /** Median time of `dispatch` over that of a bare XADD, on loopback. */
  readonly overXadd: number
  readonly overXadd2ms: number
  /** Rate of `dispatchMany` over that of a pipeline of XADDs, batches of 100. */
  readonly manyOverPipelined: number
  /** Medians on loopback, milliseconds. */
  readonly dispatchMs: number
  readonly xaddMs: number
  /** The three ratios by round. */
  readonly rounds: Readonly<Record<'overXadd' | 'overXadd2ms' | 'manyOverPipelined', readonly number[]>>
}

export interface DispatchPlan {
  readonly rounds: number
  readonly singles: number
  readonly distantSingles: number
  readonly batches: number
}

const batch = 100
const program = fileURLToPath(new URL('./dispatchprogram.ts', import.meta.url))

/** @param distantPort of the proxy with a round trip of 2 ms */
export async function measureDispatch(port: number, distantPort: number, plan: DispatchPlan): Promise<DispatchCost> {
  const { rounds, singles, batches, distantSingles } = plan
  const near = await roundsOf({ url: `redis://127.0.0.1:${port}`, rounds, singles, batches, batch })
  const far = await roundsOf({ url: `redis://127.0.0.1:${distantPort}`, rounds, singles: distantSingles, batches: 0, batch })
  const ratios = {
    overXadd: near.map(({ dispatchMs, xaddMs }) => dispatchMs / xaddMs),
    overXadd2ms: far.map(({ dispatchMs, xaddMs }) => dispatchMs / xaddMs),
    manyOverPipelined: near.map(({ manyMs, pipelinedMs }) => pipelinedMs / manyMs),
  }
  return {
    overXadd: median(ratios.overXadd),
    overXadd2ms: median(ratios.overXadd2ms),
    manyOverPipelined: median(ratios.manyOverPipelined),
    dispatchMs: median(near.map(({ dispatchMs }) => dispatchMs)),
    xaddMs: median(near.map(({ xaddMs }) => xaddMs)),
    rounds: ratios,
  }
}

async function roundsOf(input: DispatchInput): Promise<readonly DispatchRound[]> {
  const scope = createScope()
  try {
    const child = await startProcess(scope, [program, JSON.stringify(input)])
    const { code } = await child.exit
    if (code !== 0) throw new Error(`the measurement of dispatch failed:\n${child.stderr()}`)
    return JSON.parse(child.stdout()) as readonly DispatchRound[]
  } finally {
    await scope.close()
  }
}
