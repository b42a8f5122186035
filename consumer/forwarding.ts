/**
 * The way in which this consumer settles entries, and the sweeper that belongs to it.
 *
 * Unchosen   until the connections are open and the queue's server is known.
 * Chosen     for the rest of the process: no later attempt at starting chooses again.
 */
import { failure } from '../api/errors.ts'
import { createSweeper, type Sweeper } from '../redis/deadletters/capture.ts'
import type { Codec } from '../redis/payload/codec.ts'
import type { SettlePath } from '../redis/settle/path.ts'
import type { Announce, ConsumerParts } from './parts.ts'

type State =
  | { readonly kind: 'Unchosen' }
  | { readonly kind: 'Chosen'; readonly path: SettlePath; readonly sweeper: Sweeper | undefined }

interface Forwarding {
  /** Chooses the path, once. Throws catalogued errors, and may be called again then. */
  choose(): Promise<void>
  /** Throws Internal before it is chosen. */
  path(): SettlePath
  /** Kind of the path; empty before it is chosen. */
  kind(): string
  /** Undefined with `failedJobs: Leave`. */
  sweeper(): Sweeper | undefined
  close(): Promise<void>
}

export function createForwarding(parts: ConsumerParts, codec: Codec, announce: Announce): Forwarding {
  const { pipeline, connections } = parts
  let state: State = { kind: 'Unchosen' }
  return {
    async choose() {
      if (state.kind === 'Chosen') return
      const plan = await parts.choosePath()
      const captures = pipeline.deadLetter.failedJobs === 'Capture'
      const sweeper = captures
        ? createSweeper({ stream: connections.writer, queue: connections.queue, codec, ...plan })
        : undefined
      state = { kind: 'Chosen', path: plan.path, sweeper }
      announce('pathChosen', plan.path.kind, plan.fallback, plan.add)
      plan.confirmation?.listen({
        changed: (amiss) => announce('confirmationChanged', amiss),
        unconfirmed: () => announce('unconfirmed'),
      })
    },
    path() {
      if (state.kind === 'Chosen') return state.path
      throw failure('Internal', { detail: 'an entry was settled before the forward path was chosen' })
    },
    kind: () => (state.kind === 'Chosen' ? state.path.kind : ''),
    sweeper: () => (state.kind === 'Chosen' ? state.sweeper : undefined),
    async close() {
      if (state.kind === 'Chosen') await state.path.close()
    },
  }
}
