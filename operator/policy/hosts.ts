/** Applies the limits to hosts of Redis: names are judged before any connection, and every connection gets its reach. */
import { nameRefusal } from '../../redis/connect/reach.ts'
import type { RedisAddress } from '../../redis/connect/references.ts'
import type { Limits } from '../limits.ts'
import type { Locate } from '../locality.ts'
import { reachFor } from './verdict.ts'

/** Throws RedisAddressRefused: a url from a Secret is first known here. */
export function within(limits: Limits, locate: Locate): Locate {
  return (namespace, named) => {
    const address = locate(namespace, named)
    const reach = reachFor(limits, namespace)
    if (reach === undefined) return address
    for (const host of hostsOf(address)) {
      const refusal = nameRefusal(reach, host)
      if (refusal !== undefined) throw refusal
    }
    return { ...address, reach }
  }
}

function hostsOf(address: RedisAddress): readonly string[] {
  return address.kind === 'Server' ? [address.host] : address.nodes.map(({ host }) => host)
}
