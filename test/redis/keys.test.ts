import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { executionLock, hashTag, jobId, keySpace, scopeOf, slotOf } from '../../redis/keys.ts'
import { startRedis } from '../support/redis.ts'
import { seed } from '../support/seed.ts'

test('slotOf says what CLUSTER KEYSLOT says, for any name', async () => {
  const server = await startRedis({ after }, { args: ['--cluster-enabled', 'yes'] })
  const redis = server.client()
  const piece = fc.oneof(fc.constantFrom('{', '}', '{}', 'a', ':', '', 'ndvi:jobs'), fc.string(), fc.string({ unit: 'grapheme' }))
  const names = fc.sample(
    fc.array(piece, { maxLength: 6 }).map((parts) => parts.join('')),
    { numRuns: 3_000, seed },
  )
  names.push('', '{}', '{}{a}', '{{a}}', '{a}{b}', 'foo{}{bar}', '}{', '{a', 'a}', 'é{ü}ß')
  const pipeline = redis.pipeline()
  for (const name of names) pipeline.cluster('KEYSLOT', name)
  const replies = (await pipeline.exec()) ?? []
  for (const [index, name] of names.entries()) assert.equal(slotOf(name), replies[index]?.[1], JSON.stringify(name))
})

test('helper keys share the slot of what they guard', () => {
  for (const anchor of ['ndvi:jobs', '{ndvi}:jobs', 'a{b}c', 'bull{ndvi:jobs}:queue']) {
    const keys = keySpace('ndvi:jobs', 'ndvi', anchor)
    const all = [keys.mark('h'), keys.lock('h'), keys.consumer('pod-0'), keys.consumers, keys.stats, keys.mode, keys.nudge]
    for (const key of all) {
      assert.equal(slotOf(key), slotOf(anchor), key)
      assert.ok(key.startsWith(keys.prefix))
    }
    assert.equal(new Set(all).size, all.length)
  }
})

test('streams that share a tag, groups, and joined names have scopes of their own', () => {
  const pairs = [
    ['{a}:x', 'g'],
    ['{a}:y', 'g'],
    ['{a}:x', 'h'],
    ['a', 'b,c'],
    ['a,b', 'c'],
    ['a', 'bc'],
    ['ab', 'c'],
  ] as const
  const scopes = pairs.map(([stream, group]) => scopeOf(stream, group))
  assert.equal(new Set(scopes).size, pairs.length)
  for (const scope of scopes) assert.match(scope, /^[\w-]{10}$/)
})

test('a job id is never a number, never holds a colon, and names its scope', () => {
  assert.match(jobId('scope', 'hash'), /^e-scope-hash$/)
})

test('the execution lock lies outside the queue’s own keys and in its slot', () => {
  const key = executionLock('bull{t}', 'ndvi', 'e-1')
  assert.equal(slotOf(key), slotOf('bull{t}:ndvi:wait'))
  assert.ok(!key.startsWith('bull{t}:ndvi:'))
  assert.equal(hashTag('a{b}c'), 'b')
})
