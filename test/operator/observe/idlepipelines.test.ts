import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type IdlePipeline,
  idlePipelineOf,
  readCommand,
  readFrom,
  readKeyOf,
  wokenBy,
} from '../../../operator/observe/idlepipelines.ts'
import type { Observation } from '../../../operator/plan/observed.ts'
import { slotOf } from '../../../redis/keys.ts'
import { compareIds } from '../../../scaling/entryid.ts'
import { seed } from '../../support/seed.ts'
import { failedLook, pipelineObject, read, seen } from '../builder.ts'

const idle = { scaling: { minReplicas: 0 } }
const lastId = '1763830000000-7'

/** The operator's entry for a pipeline at zero. */
function found(spec: Record<string, unknown>, sample = {}): IdlePipeline | undefined {
  const object = pipelineObject(spec)
  const observation = seen(object, { lastId, ...sample })
  if (observation.kind !== 'Seen') throw new Error('not seen')
  const decision = { ...observation.decision, replicas: 0 }
  return idlePipelineOf(read(object).pipeline, { ...observation, decision })
}

test('a pipeline at zero sleeps, from the last entry that was seen', () => {
  assert.deepEqual(found(idle), { stream: 'ndvi:jobs', afterId: lastId })
})

test('one that runs, is suspended, or obeys its user is not woken by an entry', () => {
  assert.equal(idlePipelineOf(read(pipelineObject()).pipeline, seen(pipelineObject(), { lastId })), undefined)
  assert.equal(found({ ...idle, suspend: true }), undefined)
  assert.equal(found({ scaling: { policy: 'Manual' }, replicas: 0 }), undefined)
})

test('under Direct a late entry wakes the pipeline, whoever owns the replica count', () => {
  assert.ok(found({ mode: 'Direct', scaling: { policy: 'Manual' } }))
  assert.ok(found({ mode: 'Direct' }))
})

test('what was not seen does not sleep: neither before the first look nor while Redis is away', () => {
  const object = pipelineObject(idle)
  const nothing: Observation = { kind: 'None' }
  for (const observation of [nothing, failedLook(object)])
    assert.equal(idlePipelineOf(read(object).pipeline, observation), undefined)
})

test('one read waits for all streams of a server, in a cluster for those of a slot', () => {
  assert.equal(readKeyOf('r', 'Server', 'a'), readKeyOf('r', 'Server', 'b'))
  assert.notEqual(readKeyOf('r', 'Server', 'a'), readKeyOf('s', 'Server', 'a'))
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) => {
      assert.equal(readKeyOf('r', 'Cluster', a) === readKeyOf('r', 'Cluster', b), slotOf(a) === slotOf(b))
    }),
    { seed },
  )
  assert.equal(readKeyOf('r', 'Cluster', '{farm}:a'), readKeyOf('r', 'Cluster', '{farm}:b'))
})

const idlePipelines = fc.dictionary(
  fc.string({ minLength: 1, maxLength: 3 }),
  fc.record({
    stream: fc.constantFrom('a', 'b', 'c', 'd'),
    afterId: fc.tuple(fc.nat(5), fc.nat(5)).map(([ms, sequence]) => `${ms}-${sequence}`),
  }),
)

test('a read names each stream once, from the earliest id of its sleeping pipelines, and makes and takes nothing', () => {
  fc.assert(
    fc.property(idlePipelines, (drawn) => {
      const all = Object.values(drawn)
      const from = readFrom(all)
      assert.deepEqual([...from.keys()].sort(), [...new Set(all.map(({ stream }) => stream))].sort())
      for (const { stream, afterId } of all) assert.ok(compareIds(from.get(stream) ?? '9-9', afterId) <= 0)
      for (const [stream, id] of from) assert.ok(all.some((each) => each.stream === stream && each.afterId === id))
      const command = readCommand(from, 4_000)
      assert.equal(command[0], 'XREAD')
      assert.equal(command.indexOf('STREAMS'), command.length - 1 - 2 * from.size)
    }),
    { seed },
  )
})

test('an entry wakes the pipelines that sleep on its stream, and no other', () => {
  fc.assert(
    fc.property(idlePipelines, fc.subarray(['a', 'b', 'c', 'd']), (drawn, streams) => {
      const map = new Map(Object.entries(drawn))
      const resp2 = streams.map((stream) => [stream, [['9-9', ['field', 'value']]]])
      const expected = [...map].filter(([, { stream }]) => streams.includes(stream)).map(([key]) => key)
      for (const reply of [resp2, resp2.flat(1)]) assert.deepEqual(wokenBy(reply, map), expected)
    }),
    { seed },
  )
  for (const empty of [null, [], undefined])
    assert.deepEqual(wokenBy(empty, new Map([['k', { stream: 'a', afterId: '0-0' }]])), [])
})
