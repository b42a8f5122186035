/** Where a request is, as an application asks for it. */
import { targetOf } from '../redis/placement.ts'
import { requestStatus } from '../redis/status/request.ts'
import type { RequestStatus } from '../redis/status/summary.ts'
import type { Links } from './links.ts'
import type { Plan } from './plan.ts'
import { nameless, type RequestName, refsOf } from './requestname.ts'

export interface StatusOptions {
  /**
   * Number of the newest entries and dead letters to search if no index leads to the request; 1,000 at most. Default 0.
   * Without `scan`, a key finds only requests that were forwarded or became dead letters.
   */
  readonly scan?: number | undefined
}

/** Throws InvalidOption for a name that has the form of no id, hash or key, and catalogued errors. */
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
  throw nameless()
}
