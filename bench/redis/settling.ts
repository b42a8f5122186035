/** Common to both measurements: forwarding entries on a path. */
import type { Delivery } from '../../redis/stream/pending.ts'
import type { OpenPath } from '../../test/paths/fixture.ts'

/** Adds entries to the stream and reads them as a consumer does. */
export async function readEntries(path: OpenPath, entries: readonly string[][]): Promise<readonly Delivery[]> {
  const pipeline = path.stream.pipeline()
  for (const fields of entries) pipeline.xadd(path.place.stream, '*', ...fields)
  await pipeline.exec()
  const read = await path.read('bench', entries.length)
  if (read.length !== entries.length) throw new Error(`${read.length} of ${entries.length} entries were read`)
  return read
}

/** Settles them; all must become jobs. */
export async function settleEntries(path: OpenPath, entries: readonly Delivery[]): Promise<void> {
  const outcomes = await path.settle(entries)
  const other = outcomes.find(({ kind }) => kind !== 'forwarded')
  if (other !== undefined) throw new Error(`an entry was not forwarded: ${JSON.stringify(other)}`)
}

export const forwardEntries = async (path: OpenPath, entries: readonly string[][]): Promise<void> =>
  await settleEntries(path, await readEntries(path, entries))
