import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { compilePipeline } from '../../../api/compile.ts'
import { readPipelines } from '../../../api/files.ts'
import { parsePipeline } from '../../../api/validate.ts'
import { createLoad } from '../../../local/demo/load.ts'
import { meanNdvi } from '../../../local/demo/ndvi.ts'
import { type Measured, outcomesOf } from '../../../local/demo/outcomes.ts'
import { dueBy } from '../../../local/demo/pace.ts'
import { jobId } from '../../../redis/keys.ts'
import { createCodec } from '../../../redis/payload/codec.ts'

describe('the demo’s load', () => {
  it('is accepted by the quick start’s schema, except what is meant to be broken', async () => {
    const [loaded] = await readPipelines(new URL('../../../examples/quickstart.yaml', import.meta.url).pathname)
    const codec = createCodec(compilePipeline(parsePipeline(loaded?.document)).payload)
    const load = createLoad(7)
    const seen = { valid: 0, repeated: 0, broken: 0 }
    const keys = new Set<string>()
    for (let i = 0; i < 5_000; i++) {
      const offer = load.next(1_800_000_000_000)
      const flat = offer.kind === 'Broken' ? Object.entries(offer.fields).flat() : codec.encode(offer.request)
      const decoded = codec.decode(flat.map((text) => Buffer.from(text)))
      assert.equal(decoded.kind, offer.kind === 'Broken' ? 'Invalid' : 'Valid')
      if (decoded.kind === 'Invalid') seen.broken++
      else if (keys.has(decoded.hash)) seen.repeated++
      else seen.valid++
      if (decoded.kind === 'Valid') keys.add(decoded.hash)
    }
    assert.ok(seen.repeated > 200 && seen.broken > 20 && seen.valid > 4_000, JSON.stringify(seen))
  })

  it('is the same for the same seed and shares no request with another', () => {
    const hashes = (seed: number) => {
      const load = createLoad(seed)
      return Array.from({ length: 500 }, () => load.next(0)).flatMap((offer) =>
        offer.kind === 'Request' ? [offer.request.request_hash] : [],
      )
    }
    assert.deepEqual(hashes(1), hashes(1))
    const other = new Set(hashes(2))
    assert.ok(hashes(1).every((hash) => !other.has(hash)))
  })

  it('never takes back what was due, and bursts', () => {
    fc.assert(fc.property(fc.nat(120_000), fc.nat(5_000), (ms, more) => dueBy(ms + more) >= dueBy(ms)))
    assert.equal(dueBy(0), 0)
    assert.ok(dueBy(2_000) - dueBy(900) > 11_000)
  })

  it('computes an index between water and forest', () => {
    for (const farm of [1, 42, 5_000]) assert.ok(Math.abs(meanNdvi(farm)) < 1)
    assert.equal(meanNdvi(42), meanNdvi(42))
  })
})

describe('the outcomes', () => {
  const scope = 'scope'
  const measured = (over: Partial<Measured>): Measured => ({
    scope,
    entries: 10,
    keys: ['a', 'b', 'c'],
    executions: [],
    skipped: 0,
    deadKeys: [],
    maxReplicas: 2,
    ...over,
  })

  it('counts a key as done, dead or lost, and every execution too many', () => {
    const executions = [
      [jobId(scope, 'a'), 3],
      [jobId(scope, 'before this run'), 5],
    ] as const
    assert.deepEqual(outcomesOf(measured({ executions, deadKeys: ['b', ''], skipped: 1 })), {
      entries: 10,
      uniqueKeys: 3,
      jobs: 1,
      duplicateJobs: 2,
      deadLetters: 2,
      lost: 1,
      maxReplicas: 2,
      skippedJobs: 1,
    })
  })
})
