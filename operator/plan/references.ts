/** The Secrets and ConfigMaps a pipeline refers to. */
import type { CompiledPipeline, RedisTarget, Reference } from '../../api/compiled.ts'

export function referenceId(reference: Reference): string {
  return `${reference.kind}/${reference.name}/${reference.key}`
}

function ofTarget(target: RedisTarget): (Reference | undefined)[] {
  return [
    target.kind === 'UrlFrom' ? target.from : undefined,
    target.kind === 'Sentinel' ? target.sentinelUsername : undefined,
    target.kind === 'Sentinel' ? target.sentinelPassword : undefined,
    target.username,
    target.password,
    target.tls?.ca,
    target.tls?.cert,
    target.tls?.key,
  ]
}

/** Each key once, in an order that depends on nothing but the keys themselves. */
export function referencesOf(pipeline: CompiledPipeline): readonly Reference[] {
  const all = [...ofTarget(pipeline.redis), ...(pipeline.sink.redis === undefined ? [] : ofTarget(pipeline.sink.redis))]
  const byId = new Map<string, Reference>()
  for (const reference of all)
    if (reference !== undefined && !byId.has(referenceId(reference))) byId.set(referenceId(reference), reference)
  return [...byId.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, reference]) => reference)
}
