/** A consumer whose pod is gone and whose name is not, and its line in status. */
import type { StreamPipelineError } from '../../api/errors.ts'
import { idMs } from '../../scaling/entryid.ts'
import type { Sample } from '../../scaling/sample.ts'
import { roundAge, roundCount } from '../rounding.ts'

/** The state of its entries. */
export type Release =
  /** They can be claimed; `refusal`: why trimmed ones among them could not be recorded as dead letters. */
  | { readonly kind: 'Released'; readonly refusal?: StreamPipelineError }
  /** It still sends heartbeats, and on its forward path that means its entries must wait. */
  | { readonly kind: 'Awaited' }
  | { readonly kind: 'Failed'; readonly error: StreamPipelineError }

export interface VanishedConsumer {
  readonly name: string
  /** As registered. */
  readonly uid: string
  readonly pending: number
  readonly release: Release
  /** Oldest entry it held when that was last looked at. */
  readonly oldestId?: string
  /** Wall-clock time at which its pod went; undefined: before this operator looked. */
  readonly deletedMs?: number
}

/** `ndvi-consumer-x  Vanished  pending 120  oldest 2m00s  pod deleted 15:58:41Z, entries released` */
export function vanishedLine({ name, pending, release, oldestId, deletedMs }: VanishedConsumer, sample: Sample): string {
  const oldest = oldestId === undefined || !sample.timeIds ? [] : [`oldest ${roundAge(sample.atMs - idMs(oldestId))}`]
  const pod = deletedMs === undefined ? 'pod gone' : `pod deleted ${new Date(deletedMs).toISOString().slice(11, 19)}Z`
  return [name, 'Vanished', `pending ${roundCount(pending)}`, ...oldest, `${pod}, ${releaseText(release)}`].join('  ')
}

function releaseText(release: Release): string {
  switch (release.kind) {
    case 'Released':
      if (release.refusal === undefined) return 'entries released'
      return `entries released, trimmed ones not recorded: ${release.refusal.message}`
    case 'Awaited':
      return 'entries wait until its heartbeat expires'
    case 'Failed':
      return `entries not released: ${release.error.message}`
    default:
      throw release satisfies never
  }
}
