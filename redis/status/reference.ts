/** The reference of a request: the id of its entry or job, its key's hash, or the key itself. */
import type { CompiledPayload } from '../../api/compiled.ts'
import { jobId } from '../keys.ts'
import { givenKeyHash, keyHash } from '../payload/idempotency.ts'
import { isEntryId } from '../record.ts'
import type { RequestRef } from './request.ts'

/** SHA-256 as base64url. */
const hashForm = /^[A-Za-z0-9_-]{43}$/

/**
 * The requests that may be meant, likeliest first. None: the values have the form of no id, hash or key.
 * @param values one id, hash or key; or the values of a key of several fields, in order
 * @param takesKeys whether requests may bring keys of their own
 */
export function referencesOf(
  values: readonly string[],
  scope: string,
  { idempotencyKey = [] }: Pick<CompiledPayload, 'idempotencyKey'>,
  takesKeys: boolean,
): readonly RequestRef[] {
  const [only] = values.length === 1 ? values : []
  if (only !== undefined && isEntryId(only)) return [{ entry: only }]
  const prefix = jobId(scope, '')
  if (only?.startsWith(prefix) === true && hashForm.test(only.slice(prefix.length))) return [{ hash: only.slice(prefix.length) }]
  return [
    ...(only !== undefined && hashForm.test(only) ? [{ hash: only }] : []),
    ...(only !== undefined && takesKeys ? [{ hash: givenKeyHash(only) }] : []),
    ...(values.length === idempotencyKey.length ? [{ hash: keyHash(values) }] : []),
  ]
}
