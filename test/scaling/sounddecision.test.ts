/** A defect in a computation is reported, and the decision is made without what led to it. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readLook } from '../../scaling/replies.ts'
import { soundDecision } from '../../scaling/sounddecision.ts'
import type { ScalingState } from '../../scaling/state.ts'
import { policyWith, sampleWith } from './builders.ts'

test('a stored state or a sample that cannot be computed with is reported', () => {
  const defects: string[] = []
  const note = (thrown: unknown) => void defects.push(thrown instanceof Error ? thrown.message : '')
  const sound = soundDecision(undefined, sampleWith({ undelivered: 5 }), policyWith(), note)
  assert.deepEqual(defects, [])
  const spoilt = { ...sound.state, arrivals: null } as unknown as ScalingState
  assert.ok(soundDecision(spoilt, sampleWith({ undelivered: 5 }), policyWith(), note).replicas >= 1)
  assert.equal(defects.length, 1)
  const blind = soundDecision(sound.state, sampleWith({ undelivered: Number.NaN, consumers: null as never }), policyWith(), note)
  assert.equal(blind.replicas, 1)
  assert.equal(defects.length, 3)
})

test('a spoilt note in Redis is ignored; a defect of its reader is not', () => {
  const look = (pin: unknown) => readLook([['1764000000', '0'], [], [null], 0, 'none', undefined, undefined, 0, 0, 0, 0, pin])
  assert.equal(look(['g', 'k', 'no id', '0']).pin, undefined)
  assert.equal(look('text').pin, undefined)
  const defective = ['g', 'k', '1-1', '0']
  Object.defineProperty(defective, 2, {
    get() {
      throw new RangeError('a defect')
    },
  })
  assert.throws(() => look(defective), RangeError)
})
