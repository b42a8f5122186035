import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decide } from '../../scaling/decide.ts'
import { learnService, type Service, serviceOf } from '../../scaling/service.ts'
import type { ScalingState } from '../../scaling/state.ts'
import { consumers, policyWith, sampleWith } from './builders.ts'

const reported = (serviceMs: number, forwarded: number, count = 1) =>
  sampleWith({ consumers: consumers(count, { serviceMs, forwarded }) })

describe('how long entries take', () => {
  it('is weighed by consumers according to how many entries they know, up to fifty each', () => {
    const [old] = consumers(1, { serviceMs: 100, forwarded: 5_000 })
    const [fresh] = consumers(1, { serviceMs: 10, forwarded: 5, uid: 'uid-fresh' })
    assert.ok(old !== undefined && fresh !== undefined)
    const expected = (50 * 100 + 5 * 10) / 55
    assert.equal(serviceOf(sampleWith({ consumers: [old, fresh] }), undefined), expected)
  })

  it('is that of earlier consumers where none is there, or all know fewer than twenty entries', () => {
    const earlier: Service = { meanMs: 100, entries: 200 }
    assert.equal(serviceOf(sampleWith(), earlier), 100)
    assert.equal(serviceOf(reported(200, 5), earlier), (5 * 200 + 15 * 100) / 20)
    assert.equal(serviceOf(reported(200, 30), earlier), 200)
    assert.equal(serviceOf(sampleWith(), undefined), undefined)
  })

  it('is remembered by entries, not by looks', () => {
    const settled = new Map<string, number>()
    let remembered: Service | undefined = { meanMs: 100, entries: 200 }
    for (let look = 0; look < 100; look++) {
      remembered = learnService(remembered, reported(200, 10), (uid) => settled.get(uid) ?? 0)
      settled.set('uid-0', 10)
    }
    assert.deepEqual(remembered, { meanMs: 105, entries: 200 })
  })

  it('outlives a sleep: the next burst wakes to the number it needs', () => {
    const policy = policyWith({ minReplicas: 0, idleAfterMs: 10_000 })
    let state: ScalingState | undefined
    for (let tick = 0; tick < 8; tick++) {
      const atMs = 1_000_000 + tick * 5_000
      const sample = sampleWith({ atMs, consumers: consumers(1, { at: atMs, serviceMs: 1_000, forwarded: 40 }) })
      state = decide(state ?? undefined, sample, policy).state
    }
    assert.equal(state?.replicas, 0)
    const woken = decide(state, sampleWith({ atMs: 1_100_000, undelivered: 75 }), policy)
    assert.equal(woken.replicas, 5, woken.reason)
  })
})
