/** The names under which an application asks for a request. */
import { failure } from '../api/errors.ts'
import { referencesOf } from '../redis/status/reference.ts'
import type { RequestRef } from '../redis/status/request.ts'
import type { Plan } from './plan.ts'

/**
 * A request: what `dispatch` returned; the id of its entry or job; or its idempotency key. For a key of several fields, pass their values as a
 * list, in the order of `payload.idempotencyKey`.
 */
export type RequestName = string | readonly string[] | { readonly id?: string; readonly key?: string }

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

/** The failure for a name that has the form of no id, hash or key. */
export function nameless() {
  const detail = 'give the id of an entry or job, or the idempotency key: as many values as payload.idempotencyKey has fields'
  return failure('InvalidOption', { option: 'status', detail })
}
