/**
 * A seeded schedule of an election: real electors over a simulated API server, in simulated time. Clocks differ in hours and in
 * speed. Processes freeze and crash. Requests and replies are late, lost or refused. Watches break or fall silent. A process that
 * wakes runs its overdue timers first, as in Node's event loop.
 */
import { setImmediate as settled } from 'node:timers/promises'
import { failure } from '../../../api/errors.ts'
import { createElector } from '../../../operator/kubernetes/elector.ts'
import type { Lease } from '../../../operator/kubernetes/lease.ts'
import type { Transport, WatchEvent } from '../../../operator/kubernetes/transport.ts'
import type { Clock } from '../../../process/clock.ts'

export interface Verdict {
  /** Simulated times at which two acted at once. */
  readonly violations: readonly string[]
  readonly terms: number
  /** Who led once all faults had ended. */
  readonly leadersAtEnd: number
}

/** mulberry32 */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

interface Timer {
  readonly dueMs: number
  readonly order: number
  call: (() => void) | undefined
}

interface Node {
  readonly name: string
  frozen: boolean
  crashed: boolean
  acting: boolean
  readonly overdue: (() => void)[]
  readonly stop: AbortController
  done: Promise<void>
}

const faultyMs = 120_000
/** A process may be frozen for 30 s more, wait as long for a lost reply, and then for a lease. */
const calmMs = 100_000
/** The transport's own limit. */
const requestMs = 30_000

export async function simulate(seed: number): Promise<Verdict> {
  const random = seededRandom(seed)
  const between = (low: number, high: number) => low + (high - low) * random()
  let nowMs = 0
  let order = 0
  let calm = false
  let timers: Timer[] = []
  const violations: string[] = []
  let terms = 0

  function at(ms: number, call: () => void): () => void {
    const timer: Timer = { dueMs: nowMs + Math.max(0, ms), order: order++, call }
    const index = timers.findIndex(({ dueMs }) => dueMs > timer.dueMs)
    timers.splice(index === -1 ? timers.length : index, 0, timer)
    return () => {
      timer.call = undefined
    }
  }

  let version = 1
  let lease: Lease | undefined
  const watches = new Set<(event: WatchEvent) => void>()

  function store(next: Lease): Lease {
    lease = { ...next, metadata: { ...next.metadata, uid: 'lease', resourceVersion: String(++version) } }
    const type = next.metadata.resourceVersion === undefined ? 'ADDED' : 'MODIFIED'
    for (const notify of watches) notify({ type, object: lease })
    return lease
  }

  function answer(method: string, path: string, body: unknown): unknown {
    if (method === 'GET' && path.endsWith('/leases'))
      return { items: lease === undefined ? [] : [lease], metadata: { resourceVersion: String(version) } }
    if (method === 'GET') {
      if (lease === undefined) throw failure('KubernetesNotFound', { subject: path, detail: 'none' })
      return lease
    }
    const wanted = body as Lease
    const fits = method === 'POST' ? lease === undefined : lease?.metadata.resourceVersion === wanted.metadata.resourceVersion
    if (!fits) throw failure('KubernetesConflict', { subject: path, detail: 'changed' })
    return store(wanted)
  }

  function transportOf(node: Node): Transport {
    const deliver = (call: () => void) => {
      if (node.crashed) return
      if (node.frozen) node.overdue.push(call)
      else call()
    }
    const late = () => (calm || random() < 0.8 ? between(1, 40) : between(40, 9_000))
    return {
      request: ({ method, path, body, signal }) =>
        new Promise((resolve, reject) => {
          const abort = () => reject(signal?.reason)
          if (signal?.aborted === true) return abort()
          signal?.addEventListener('abort', abort, { once: true })
          at(requestMs, () => deliver(() => reject(failure('KubernetesUnreachable', { detail: 'timeout' }))))
          const fate = calm ? 1 : random()
          if (fate < 0.06) return
          at(late(), () => {
            const reply = fate < 0.12 ? () => reject(failure('KubernetesBusy', { detail: 'HTTP 500' })) : outcome(resolve, reject)
            if (fate >= 0.2 || fate < 0.12) at(late(), () => deliver(reply))
          })
          function outcome(yes: (value: unknown) => void, no: (error: unknown) => void): () => void {
            try {
              const value = structuredClone(answer(method, path, body))
              return () => yes(value)
            } catch (thrown) {
              return () => no(thrown)
            }
          }
        }),
      async *watch(_path, _query, signal) {
        const queue: WatchEvent[] = []
        let wake = () => {}
        let broken = false
        const silent = !calm && random() < 0.3
        const notify = (event: WatchEvent) => {
          if (silent) return
          at(late(), () =>
            deliver(() => {
              queue.push(structuredClone(event))
              wake()
            }),
          )
        }
        watches.add(notify)
        const end = () => {
          broken = true
          wake()
        }
        signal.addEventListener('abort', end, { once: true })
        if (!calm) at(between(1_000, 30_000), () => deliver(end))
        try {
          while (!broken) {
            const event = queue.shift()
            if (event !== undefined) yield event
            else
              await new Promise<void>((resolve) => {
                wake = resolve
              })
          }
        } finally {
          watches.delete(notify)
        }
      },
      close: async () => {},
    }
  }

  function clockOf(node: Node): Clock {
    const speed = between(0.99, 1.01)
    const offsetMs = between(-1e7, 1e7)
    return {
      now: () => nowMs * speed,
      wall: () => new Date(Date.UTC(2026, 10, 22) + nowMs * speed + offsetMs),
      random,
      after: (ms, call) =>
        at(ms / speed, () => {
          if (node.crashed) return
          if (node.frozen) node.overdue.push(call)
          else call()
        }),
    }
  }

  function start(name: string): Node {
    const stop = new AbortController()
    const node: Node = { name, frozen: false, crashed: false, acting: false, overdue: [], stop, done: Promise.resolve() }
    const elector = createElector({
      transport: transportOf(node),
      clock: clockOf(node),
      namespace: 'n',
      name: 'l',
      identity: name,
    })
    node.done = elector.run(stop.signal, async (term) => {
      terms += 1
      node.acting = true
      const quit = () => {
        node.acting = false
      }
      if (term.aborted) quit()
      else await new Promise<void>((resolve) => term.addEventListener('abort', () => resolve(quit()), { once: true }))
    })
    return node
  }

  let started = 0
  const nodes = [start(`n${started++}`), start(`n${started++}`), start(`n${started++}`)]

  function fault(): void {
    if (calm) return
    at(between(500, 8_000), fault)
    const node = nodes[Math.floor(random() * nodes.length)]
    if (node === undefined || node.frozen || node.crashed) return
    const fate = random()
    if (fate < 0.55) freeze(node, between(50, 30_000))
    else if (fate < 0.65) crash(node)
    else if (fate < 0.72) replace(node, () => node.stop.abort())
  }

  function crash(node: Node): void {
    node.crashed = true
    replace(node, () => {})
  }

  function freeze(node: Node, forMs: number): void {
    node.frozen = true
    at(forMs, () => {
      node.frozen = false
      for (const call of node.overdue.splice(0)) call()
    })
  }

  function replace(node: Node, end: () => void): void {
    end()
    if (node.crashed) node.acting = false
    nodes.splice(nodes.indexOf(node), 1)
    leaving.push(node)
    at(between(0, 20_000), () => nodes.push(start(`n${started++}`)))
  }

  const leaving: Node[] = []
  const acting = () => [...nodes, ...leaving].filter((node) => node.acting && !node.frozen && !node.crashed)

  async function advance(untilMs: number): Promise<void> {
    for (;;) {
      const next = timers[0]
      if (next === undefined || next.dueMs > untilMs) break
      timers.shift()
      if (next.call === undefined) continue
      nowMs = next.dueMs
      next.call()
      await settled()
      const now = acting()
      if (now.length > 1) violations.push(`${Math.round(nowMs)} ms: ${now.map(({ name }) => name).join(' and ')}`)
    }
    nowMs = untilMs
  }

  fault()
  await settled()
  await advance(faultyMs)
  calm = true
  await advance(faultyMs + calmMs)
  const leadersAtEnd = acting().length
  for (const node of [...nodes, ...leaving]) {
    node.frozen = false
    node.stop.abort()
  }
  await settled()
  await advance(nowMs + 30_000)
  timers = []
  return { violations, terms, leadersAtEnd }
}
