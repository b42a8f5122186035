/** Exit codes of every command, after BSD's sysexits.h where it has one. */
import type { StreamPipelineError } from './errors.ts'

export const exitCodes = {
  done: 0,
  /** `validate`: something is invalid. */
  invalid: 1,
  /** EX_USAGE: an option, a file or what it says cannot be used; trying again changes nothing. */
  badUsage: 64,
  /** EX_UNAVAILABLE: Redis or the cluster could not be reached, or refused us, for too long. */
  unavailable: 69,
  /** EX_SOFTWARE: a bug of ours. */
  internal: 70,
} as const

export function exitCodeOf(error: StreamPipelineError): number {
  switch (error.code) {
    case 'InvalidPipeline':
    case 'UnreadableFile':
    case 'InvalidOption':
    case 'InvalidReference':
    case 'ReferenceMissing':
    case 'WrongKeyType':
    case 'RedisUnfit':
    case 'RedisServerMissing':
    case 'ConsumerRefused':
      return exitCodes.badUsage
    case 'Internal':
      return exitCodes.internal
    default:
      return exitCodes.unavailable
  }
}
