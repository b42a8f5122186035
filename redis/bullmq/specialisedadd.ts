/**
 * The two ways in which the composed scripts add jobs. One runs BullMQ's own text for each job. The other is an add of our own,
 * which does the common work once for all jobs of a script (scripts/lib/specialisedAdd.lua).
 */
import { encode } from '@msgpack/msgpack'
import type { CompiledJobOptions } from '../../api/compiled.ts'
import type { ForwardTarget } from '../placement.ts'

export type AddWay = 'Specialised' | 'BullMQ'

/** Tells the scripts that jobs are added by BullMQ's own text. */
export const byBullText = Buffer.from(encode(null))

/** The part that is the same for all jobs of a script, as it takes it. @param time of the jobs, milliseconds since 1970 */
export function packedJob({ jobName, jobOptions }: ForwardTarget, time: number): Buffer {
  const { delay = 0, priority = 0, lifo = false } = jobOptions
  return Buffer.from(encode({ name: jobName, time, delay, priority, lifo }))
}

/** Why jobs with these options are not for the specialised add, or undefined. */
export function unsuitable({ delay = 0, priority = 0 }: CompiledJobOptions): string | undefined {
  const whole = [delay, priority].every((value) => Number.isSafeInteger(value) && value >= 0)
  return whole ? undefined : 'delay and priority are not whole numbers'
}
