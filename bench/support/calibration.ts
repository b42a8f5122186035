/**
 * Whether the machine was quiet enough to judge by. A fixed loop runs on all processors at once, before the first round and after each,
 * while the bench itself rests. Two things are seen:
 *
 * - **Contention**: the loop's time by the clock over its own CPU time. On a free processor it is 1. Another program that computes all the
 *   time takes half a processor, and makes it 2.
 * - **Drift**: the same work takes different CPU time in different rounds, since the processor's clock or its caches are shared with other machines.
 *
 * A ratio between contenders of one run survives a little of both. Beyond the limits a missed bar might be the machine's, and so might a kept one.
 */
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { median, percentile } from './statistics.ts'

/** One loop on one processor. */
export interface LoopTime {
  readonly wallMs: number
  readonly cpuMs: number
}

/** All processors at one moment. */
export type Calibration = readonly LoopTime[]

export type Judgement = { readonly judged: true } | { readonly judged: false; readonly reason: string }

/**
 * The limit of contention, which most calibrations must keep. A program that uses one of the processors half of the time goes
 * beyond it.
 */
const mostContention = 1.15
/**
 * The limit of drift, which most calibrations must keep: the CPU time of a calibration's slowest loop, over the median of these
 * times.
 */
const mostDrift = 1.25
/** Of calibrations that must keep the limits. The rest may be a single disturbance, which medians over rounds leave out. */
const share = 0.8

/** A quarter of a second: a pause of some milliseconds, which any kernel makes, is no contention. */
const usualRounds = 3_000

export async function calibrate(processors = availableParallelism(), rounds = usualRounds): Promise<Calibration> {
  return await Promise.all(
    Array.from({ length: processors }, async () => {
      const worker = new Worker(new URL('./calibrationloop.ts', import.meta.url), { workerData: rounds })
      const [time] = (await once(worker, 'message')) as [LoopTime]
      await worker.terminate()
      return time
    }),
  )
}

/** The figures of a run, and the judgement. */
interface MachineState {
  readonly judgement: Judgement
  /** NaN without a calibration. */
  readonly contention: number
  readonly drift: number
  readonly calibrations: number
}

export function machineState(calibrations: readonly Calibration[]): MachineState {
  const worst = (figure: (time: LoopTime) => number) => calibrations.map((loops) => Math.max(...loops.map(figure)))
  const contention = percentile(
    worst(({ wallMs, cpuMs }) => wallMs / cpuMs),
    share,
  )
  const cpu = worst(({ cpuMs }) => cpuMs)
  const drift = percentile(cpu, share) / median(cpu)
  return { judgement: judge(contention, drift), contention, drift, calibrations: calibrations.length }
}

function judge(contention: number, drift: number): Judgement {
  const shown = (value: number) => value.toFixed(2)
  // NaN, of no calibration at all, is not quiet either.
  if (!(contention <= mostContention)) {
    const reason = `other programs used the processors: a loop took ${shown(contention)} times its own CPU time, ${shown(mostContention)} is the limit`
    return { judged: false, reason }
  }
  if (!(drift <= mostDrift)) {
    const reason = `the processors changed their speed: a loop took ${shown(drift)} times its median CPU time, ${shown(mostDrift)} is the limit`
    return { judged: false, reason }
  }
  return { judged: true }
}
