import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Downstream, learnDownstream, usefulReplicas, watching } from '../../scaling/downstream.ts'
import { consumers, policyWith, sampleWith } from './builders.ts'

interface Stretch {
  readonly ready: number
  /** Entries per second of all together. */
  readonly perSecond: number
  readonly ageMs?: number
  readonly queueWaiting?: number
  readonly seconds?: number
}

/** Looks every five seconds at so many replicas that settle so much together. */
function after(begin: Downstream, stretches: readonly Stretch[]): Downstream {
  let downstream = begin
  let atMs = 1_000_000
  let total = 0
  for (const { ready, perSecond, ageMs = 60_000, queueWaiting = 0, seconds = 30 } of stretches) {
    for (let passed = 0; passed < seconds; passed += 5) {
      const before = total / ready
      total += perSecond * 5
      atMs += 5_000
      const marks = Object.fromEntries(
        Array.from({ length: ready }, (_, i) => [`uid-${i}`, { settled: before, atMs: atMs - 5_000 }]),
      )
      downstream = learnDownstream(downstream, {
        sample: sampleWith({
          atMs,
          undelivered: 1_000,
          undeliveredAgeMs: ageMs,
          queueWaiting,
          consumers: consumers(ready, { at: atMs, forwarded: total / ready }),
        }),
        previousMs: atMs - 5_000,
        capacity: { marks },
        arrivals: 80,
        perReplica: perSecond / ready,
        policy: policyWith({ maxWaiting: 1_000 }),
      })
    }
  }
  return downstream
}

describe('a limit behind the consumers', () => {
  it('is suspected where half as many again brought nothing', () => {
    const seen = after(watching, [
      { ready: 10, perSecond: 50 },
      { ready: 20, perSecond: 51 },
    ])
    assert.deepEqual([seen.kind, usefulReplicas(seen)], ['Trimming', 15])
  })

  it('is not suspected where replicas brought what they should', () => {
    const seen = after(watching, [
      { ready: 10, perSecond: 30 },
      { ready: 20, perSecond: 58 },
    ])
    assert.deepEqual([seen.kind, usefulReplicas(seen)], ['Watching', undefined])
  })

  it('is taken for granted where the queue is full', () => {
    assert.equal(after(watching, [{ ready: 8, perSecond: 40, ageMs: 0, queueWaiting: 950 }]).kind, 'Trimming')
  })

  const trimming: Downstream = { kind: 'Trimming', replicas: 15, perSecond: 50, before: 20, cuts: 1 }

  it('trims further for as long as nothing is lost', () => {
    const seen = after(trimming, [{ ready: 15, perSecond: 50 }])
    assert.deepEqual([seen.kind, usefulReplicas(seen)], ['Trimming', 12])
  })

  it('waits for replicas to follow the cap before it judges', () => {
    const { window: _, ...seen } = after(trimming, [{ ready: 17, perSecond: 50 }])
    assert.deepEqual(seen, { ...trimming, best: seen.best })
  })

  it('takes back a first cut if it cost a lot: jobs merely became heavier', () => {
    const seen = after(trimming, [{ ready: 15, perSecond: 38 }])
    assert.equal(seen.kind, 'Watching')
    assert.ok(seen.kind === 'Watching' && seen.quietUntilMs !== undefined)
  })

  it('holds as many as suffice, and 15 % more, where a later cut cost something', () => {
    const seen = after({ ...trimming, cuts: 3 }, [{ ready: 15, perSecond: 40 }])
    // Fifteen clear 40 and were the limit: 19 would do for 50.
    assert.deepEqual([seen.kind, usefulReplicas(seen)], ['Held', 22])
  })

  it('holds nothing where nothing gets through any more: that says nothing about replicas', () => {
    const seen = after({ ...trimming, cuts: 3 }, [{ ready: 15, perSecond: 0, seconds: 310 }])
    assert.deepEqual([seen.kind, usefulReplicas(seen)], ['Watching', undefined])
    assert.deepEqual(JSON.parse(JSON.stringify(seen)), seen)
  })

  it('probes after a while, and goes back where that brings nothing, for longer', () => {
    const held: Downstream = { kind: 'Held', replicas: 12, perSecond: 50, sinceMs: 1_000_000, waitMs: 300_000 }
    const probing = after(held, [{ ready: 12, perSecond: 50, seconds: 305 }])
    assert.deepEqual([probing.kind, usefulReplicas(probing)], ['Probing', 14])
    const again = after(probing, [{ ready: 14, perSecond: 50 }])
    assert.deepEqual([again.kind, usefulReplicas(again), again.kind === 'Held' && again.waitMs], ['Held', 12, 1_200_000])
  })

  const idling: Downstream = { kind: 'Held', replicas: 12, perSecond: 50, alone: 5, sinceMs: 1_000_000, waitMs: 1_200_000 }

  it('is over once the replicas that idled because of it work again', () => {
    assert.equal(after(idling, [{ ready: 12, perSecond: 60, seconds: 305 }]).kind, 'Watching')
  })

  it('is not over where they still idle', () => {
    assert.equal(after(idling, [{ ready: 12, perSecond: 51, seconds: 900 }]).kind, 'Held')
  })

  it('does not take the filling of a queue for what its workers do', () => {
    // 75 a second go in, 40 come out.
    const filling = Array.from({ length: 6 }, (_, i) => ({
      ready: 15,
      perSecond: 75,
      ageMs: 0,
      queueWaiting: 910 + 175 * i,
      seconds: 5,
    }))
    const seen = after(watching, filling)
    assert.ok(seen.kind === 'Trimming' && Math.abs(seen.perSecond - 40) < 2, JSON.stringify(seen))
  })

  it('is over where a probe brings something', () => {
    const probing: Downstream = { kind: 'Probing', replicas: 14, perSecond: 50, before: 12, waitMs: 300_000 }
    assert.equal(after(probing, [{ ready: 14, perSecond: 58 }]).kind, 'Watching')
  })

  it('is forgotten once nothing waits', () => {
    assert.equal(after(trimming, [{ ready: 15, perSecond: 50, ageMs: 1_000, seconds: 5 }]).kind, 'Watching')
  })
})
