/** Where a request is, as an application asks for it. */
import { failure } from '../api/errors.ts'
import { targetOf } from '../redis/placement.ts'
import { referencesOf } from '../redis/status/reference.ts'
import { type RequestRef, type RequestStatus, requestStatus } from '../redis/status/request.ts'
import type { Links } from './links.ts'
import type { Plan } from './plan.ts'

/**
 * A request: what `dispatch` returned; the id of its entry or job; or its idempotency key. Of a key of several fields give their values as a
 * list, in the order of `payload.idempotencyKey`.
 */
export type RequestName = string | readonly string[] | { readonly id?: string; readonly key?: string }

export interface StatusOptions {
  /**
   * How many of the newest entries and dead letters are searched where nothing else leads to the request; 1,000 at most. Default 0. A key
   * leads to a request from its forwarding or dead-lettering on.
   */
  readonly scan?: number | undefined
}

/** Throws InvalidOption for a name of no form that leads to a request, and catalogued errors. */
export async function statusOf(links: Links, plan: Plan, name: RequestName, { scan = 0 }: StatusOptions): Promise<RequestStatus> {
  const { config, codec, keys } = plan
  const [stream, queue] = await Promise.all([links.stream(), links.queue(plan)])
  const { group, deadLetters } = config
  const parts = { stream, queue, place: { stream: config.stream, group, deadLetters, keys }, target: targetOf(config), codec }
  let status: RequestStatus | undefined
  for (const ref of refsOf(plan, name)) {
    const found = await requestStatus(parts, ref, scan)
    if (found.state !== 'Unknown') return found
    status ??= found
  }
  if (status !== undefined) return status
  const detail = 'give the id of an entry or job, or the idempotency key: as many values as payload.idempotencyKey has fields'
  throw failure('InvalidOption', { option: 'status', detail })
}

function isList(name: RequestName): name is readonly string[] {
  return Array.isArray(name)
}

export function refsOf({ config }: Plan, name: RequestName): readonly RequestRef[] {
  if (typeof name === 'string' || isList(name)) {
    const values = typeof name === 'string' ? [name] : name
    const payload = config.idempotencyKey === undefined ? {} : { idempotencyKey: config.idempotencyKey }
    return referencesOf(values, config.scope, payload, config.allow?.idempotencyKey === true)
  }
  const { id, key } = name
  if (id === undefined && key === undefined) return []
  return [{ ...(id === undefined ? {} : { entry: id }), ...(key === undefined ? {} : { hash: key }) }]
}
