/** A bug in a computation is reported, and the decision is made without what led to it. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readLook } from '../../scaling/replies.ts'
import { soundDecision } from '../../scaling/sounddecision.ts'
import type { ScalingState } from '../../scaling/state.ts'
import { policyWith, sampleWith } from './builders.ts'

test('a stored state or a sample that cannot be computed with is reported', () => {
  const failures: string[] = []
  const note = (thrown: unknown) => void failures.push(thrown instanceof Error ? thrown.message : '')
  const sound = soundDecision(undefined, sampleWith({ undelivered: 5 }), policyWith(), note)
  assert.deepEqual(failures, [])
  const spoilt = { ...sound.state, arrivals: null } as unknown as ScalingState
  assert.ok(soundDecision(spoilt, sampleWith({ undelivered: 5 }), policyWith(), note).replicas >= 1)
  assert.equal(failures.length, 1)
  const blind = soundDecision(sound.state, sampleWith({ undelivered: Number.NaN, consumers: null as never }), policyWith(), note)
  assert.equal(blind.replicas, 1)
  assert.equal(failures.length, 3)
})

test('a spoilt note in Redis is ignored; a bug of its reader is not', () => {
  const look = (pin: unknown) => readLook([['1764000000', '0'], [], [null], 0, 'none', undefined, undefined, 0, 0, 0, 0, pin])
  assert.equal(look(['g', 'k', 'no id', '0']).pin, undefined)
  assert.equal(look('text').pin, undefined)
  const broken = ['g', 'k', '1-1', '0']
  Object.defineProperty(broken, 2, {
    get() {
      throw new RangeError('a bug')
    },
  })
  assert.throws(() => look(broken), RangeError)
})
