/**
 * Pipelines that sleep: nothing runs, and the next entry should change that at once. A look at Redis shows which sleep, and
 * after which id an entry is new. One read waits for many of them, and its answer shows which ones to wake.
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import { slotOf } from '../../redis/keys.ts'
import { compareIds } from '../../scaling/entryid.ts'
import type { Observation } from '../plan/observed.ts'

export interface IdlePipeline {
  readonly stream: string
  /** The last entry that was seen, `0-0` where there was none. */
  readonly afterId: string
}

/** Undefined for a pipeline that is awake, or that an entry does not wake: one that is suspended, or whose user says how many run. */
export function idlePipelineOf(
  { suspend, mode, scaling, source }: CompiledPipeline,
  observation: Observation,
): IdlePipeline | undefined {
  if (observation.kind !== 'Seen' || observation.decision.replicas > 0 || suspend) return undefined
  // Under Direct a late entry brings a consumer back, also where a person sets the number.
  if (scaling.policy === 'Manual' && mode === 'Stream') return undefined
  const { lastId } = observation.sample
  return lastId === undefined ? undefined : { stream: source.stream, afterId: lastId }
}

/**
 * Pipelines with equal keys share one blocking read: all of a server's, in a cluster all of a slot's. Redis refuses a read over two
 * slots with CROSSSLOT.
 * @param redis distinguishes one Redis from another
 */
export function readKeyOf(redis: string, kind: 'Server' | 'Sentinel' | 'Cluster', stream: string): string {
  return kind === 'Cluster' ? `${redis}/${slotOf(stream)}` : redis
}

/** Streams to read and from which id: where several pipelines sleep on one stream, the earliest. */
export function readFrom(idlePipelines: Iterable<IdlePipeline>): ReadonlyMap<string, string> {
  const from = new Map<string, string>()
  for (const { stream, afterId } of idlePipelines) {
    const earliest = from.get(stream)
    if (earliest === undefined || compareIds(afterId, earliest) < 0) from.set(stream, afterId)
  }
  return from
}

/** One entry of each stream is enough to know; no consumer gets it. */
export function readCommand(from: ReadonlyMap<string, string>, blockMs?: number): string[] {
  const block = blockMs === undefined ? [] : ['BLOCK', String(blockMs)]
  return ['XREAD', 'COUNT', '1', ...block, 'STREAMS', ...from.keys(), ...from.values()]
}

/** The pipelines that XREAD's answer wakes. */
export function wokenBy(reply: unknown, idlePipelines: ReadonlyMap<string, IdlePipeline>): string[] {
  if (!Array.isArray(reply)) return []
  const arrived = new Set<unknown>()
  // By RESP3 streams and their entries alternate, by RESP2 each has a list with its entries.
  for (const [at, item] of reply.entries()) {
    if (Array.isArray(item) && typeof item[0] === 'string') arrived.add(item[0])
    else if (at % 2 === 0) arrived.add(item)
  }
  // Several pipelines may sleep on one stream. An entry that is new to one may be known to another, which may have got a later
  // entry. So all of them look.
  return [...idlePipelines].filter(([, { stream }]) => arrived.has(stream)).map(([key]) => key)
}

/**
 * The pipelines that new entries wake, if only the ids of the entries are known.
 * @param newest stream → id of its last entry, if known
 */
export function wokenByIds(newest: ReadonlyMap<string, string>, idlePipelines: ReadonlyMap<string, IdlePipeline>): string[] {
  const isNew = ({ stream, afterId }: IdlePipeline) => compareIds(newest.get(stream) ?? '0-0', afterId) > 0
  return [...idlePipelines].filter(([, idlePipeline]) => isNew(idlePipeline)).map(([key]) => key)
}
