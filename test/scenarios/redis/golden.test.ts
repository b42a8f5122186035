/**
 * The golden cases by release 610099e, compared with the present code. No job of that release gets another id or other data, and
 * no entry of its dispatchers is refused, unless a row of the change log states that. Each release reads the entries of the
 * other. The earlier release needs re2js, which is a development dependency for that reason alone.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { isHeld, numberForm } from '../../../api/heldnumbers.ts'
import { goldenCases } from '../../redis/golden/cases.ts'
import { loadRelease, type Reading, type Taken } from '../../redis/golden/take.ts'
import { checkOutEarlier, earlierRelease, needsEarlierRelease } from '../../support/earlierrelease.ts'
import { projectRoot } from '../../support/root.ts'

const release = earlierRelease
const vectors = JSON.parse(readFileSync(new URL('../../redis/golden/vectors.json', import.meta.url), 'utf8')) as readonly Taken[]
const log = readFileSync(join(projectRoot, 'CHANGELOG.md'), 'utf8')
const present = await loadRelease(projectRoot)

/** Rows of the change log, and the refusals that each explains. */
const rows: Readonly<Record<string, RegExp>> = {
  numbers: /number that cannot be held exactly/,
  names: /name occurs twice/,
  'empty-key': /of the idempotency key is empty/,
  'null-key': /of the idempotency key is null/,
  'null-text': /is null where the schema allows text/,
  nan: /is NaN or infinite/,
}
const met = new Set<string>()

const isAltered = (part: unknown) => typeof part === 'string' && numberForm.test(part) && !isHeld(part)

/** Fails unless a row of the change log states this refusal. */
function excused(why: string, what: string, parts: readonly unknown[] = []) {
  const [worded] = Object.entries(rows).find(([, words]) => words.test(why)) ?? []
  // A field whose number is altered stays text, and is refused as text.
  const name = worded ?? (parts.some(isAltered) ? 'numbers' : undefined)
  assert.ok(name !== undefined, `${what}: refused now: ${why}`)
  assert.ok(log.includes(`- [${name}]`), `${what}: the change log has no row ${name}`)
  met.add(name)
}

const bytes = (texts: readonly string[]) => texts.map((text) => Buffer.from(text))

/** The part that does not depend on the words of an error. */
const plain = (reading: Reading) => ('reason' in reading ? { reason: reading.reason } : reading)

describe(`as ${release} had it:`, () => {
  for (const [index, golden] of goldenCases.entries()) {
    const old = vectors[index]
    test(golden.what, () => {
      assert.equal(old?.what, golden.what, 'the vectors are of other cases: take them again')
      if (old.refused) return
      const now = present.take(golden)
      assert.ok(!now.refused, 'a resource that ran is refused')
      for (const [at, before] of old.readings.entries()) {
        const after = now.readings[at]
        const entry = JSON.stringify(golden.entries[at])
        if ('reason' in before || after === undefined) continue
        if ('reason' in after) excused(after.error ?? '', entry, golden.entries[at])
        else assert.deepEqual(after, before, entry)
      }
      for (const [at, before] of old.sendings.entries()) {
        const after = now.sendings[at]
        const payload = JSON.stringify(golden.dispatched[at])
        if ('refused' in before || after === undefined) continue
        if ('refused' in after) excused(after.refused, payload)
        else assert.deepEqual(after, before, `${payload} is written otherwise`)
      }
    })
  }
  test('each row of the change log is met', () => assert.deepEqual([...met].sort(), Object.keys(rows).sort()))
})

test(`${release} and this release read what the other dispatches`, needsEarlierRelease, async (t) => {
  const folder = checkOutEarlier(['api', 'redis', 'package.json'])
  t.after(() => rmSync(folder, { recursive: true }))
  const past = await loadRelease(folder)
  let compared = 0
  for (const [index, golden] of goldenCases.entries()) {
    const before = past.take(golden)
    assert.deepEqual(before.readings.map(plain), vectors[index]?.readings.map(plain), `${golden.what}: other vectors`)
    if (before.refused) continue
    const now = present.take(golden)
    for (const [at, sending] of before.sendings.entries()) {
      const payload = JSON.stringify(golden.dispatched[at])
      const today = now.sendings[at]
      if ('entry' in sending) {
        const then = past.read(golden.payload, bytes(sending.entry))
        const read = present.read(golden.payload, bytes(sending.entry))
        if ('reason' in read) excused(read.error ?? '', payload)
        else assert.deepEqual(read, then, `${payload}, dispatched by the old release`)
        compared += 1
      }
      // Only a new consumer has to read entries that only the new dispatcher accepts.
      if (today !== undefined && 'entry' in today && 'entry' in sending) {
        const then = past.read(golden.payload, bytes(today.entry))
        assert.deepEqual(
          plain(then),
          plain(present.read(golden.payload, bytes(today.entry))),
          `${payload}, dispatched by the new release`,
        )
        compared += 1
      }
    }
  }
  assert.ok(compared > 100, String(compared))
})
