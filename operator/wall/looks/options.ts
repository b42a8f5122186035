/** The parts of the operator that the looks behind the wall need. */
import type { StreamPipelineError } from '../../../api/errors.ts'
import type { Clock } from '../../../process/clock.ts'
import type { Claimant } from '../../../redis/stream/claim.ts'
import type { Reaping } from '../../../redis/stream/reaping.ts'
import type { ReferenceReader } from '../../observe/referencereader.ts'
import type { Observation } from '../../plan/observed.ts'
import type { ConfirmGone } from '../../reaping/suspects.ts'
import type { LookSettings } from './messages.ts'

export interface LookHostOptions {
  readonly clock: Clock
  readonly settings: LookSettings
  /** Folder of the bundled program; default: beside this one. */
  readonly programs?: string | undefined
  readonly reader: Pick<ReferenceReader, 'read'>
  readonly confirmGone: ConfirmGone
  /** Whether a pipeline of this installation certainly no longer exists. */
  readonly pipelineGone: (holder: Claimant) => boolean
  readonly onReaped: (key: string, consumer: string, reaping: Reaping) => void
  readonly onReapingFailure: (key: string, error: StreamPipelineError) => void
  /** A change that shows in status; urgent: the number of consumers was decided anew. */
  readonly onChange: (key: string, urgent: boolean) => void
  /** A line of the decision log. */
  readonly onDecision: (line: string) => void
  readonly onLook: (key: string, observation: Observation, tookMs: number) => void
  /** A process ended, or a look failed by a bug. */
  readonly onFailure: (error: StreamPipelineError, fields: Readonly<Record<string, unknown>>) => void
}
