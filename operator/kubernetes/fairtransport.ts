/**
 * A transport over which no namespace can block the others. A quota webhook or a policy engine of one tenant may take half a minute over
 * each request. So only a limited number of requests of one namespace is under way at once; its others wait in line.
 *
 * Requests for Leases are exempt: leadership must not depend on a namespace's line. Watches are exempt, too: they have a connection of
 * their own.
 */
import { createSemaphore, type Semaphore } from '../../process/semaphore.ts'
import type { Transport } from './transport.ts'

/** A connection has some ninety streams. */
const mostAtOnce = 20
const never = new AbortController().signal
const namespaced = /^\/apis?\/(?:[^/]+\/)?[^/]+\/namespaces\/([^/]+)\/([^/]+)/

export function createFairTransport(inner: Transport, limit = mostAtOnce): Transport {
  const lines = new Map<string, { readonly line: Semaphore; users: number }>()

  return {
    async request(request) {
      const [, namespace, resource] = namespaced.exec(request.path) ?? []
      if (namespace === undefined || resource === 'leases') return await inner.request(request)
      const entry = lines.get(namespace) ?? { line: createSemaphore(limit), users: 0 }
      lines.set(namespace, entry)
      entry.users += 1
      try {
        const signal = request.signal ?? never
        const leave = await entry.line.take(signal)
        if (leave === undefined) throw signal.reason
        try {
          return await inner.request(request)
        } finally {
          leave()
        }
      } finally {
        entry.users -= 1
        if (entry.users === 0) lines.delete(namespace)
      }
    },
    watch: inner.watch,
    close: inner.close,
  }
}
