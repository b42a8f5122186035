/** `validate`, the reference, status and metrics state the memory of a mark. The figure is that of Redis, at the present rate of the pipeline. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { describeMarks, markBytes, marksAt, roundedBytes } from '../../../api/markmemory.ts'
import { bytesPerMark } from '../../../bench/redis/marks.ts'
import { families } from '../../../operator/metrics/families.ts'
import { resourceOf } from '../../api/table/resource.ts'
import { pipelineWith } from '../../redis/resource.ts'
import { runHere } from '../../support/commandline.ts'

test('a mark on a real server takes what is said, within a tenth', async (t) => {
  const bytes = await bytesPerMark(30_000)
  t.diagnostic(`${bytes.toFixed(1)} bytes`)
  assert.ok(Math.abs(bytes - markBytes) < markBytes / 10, `${bytes} bytes`)
})

test('marks are the rate times the window, and sizes have three digits', () => {
  const day = 86_400_000
  assert.deepEqual(marksAt(1_200, day), { keys: 103_680_000, bytes: 103_680_000 * markBytes })
  assert.deepEqual(marksAt(-1, day), { keys: 0, bytes: 0 })
  const sizes = [0, 999, 1_000, 18_403_200, 22_083_840_000, 1e15]
  assert.deepEqual(sizes.map(roundedBytes), ['0', '999', '0.98Ki', '17.6Mi', '20.6Gi', '909Ti'])
  assert.match(
    describeMarks(day),
    /^a mark takes 213 bytes .* for 24h \(idempotency\.window\): 17\.6Mi at one entry a second, 20\.6Gi/,
  )
})

test('validate says what marks cost for the window of the resource', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-marks-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'pipeline.yaml')
  await writeFile(file, JSON.stringify(resourceOf({ name: 'marks', spec: { idempotency: { window: '48h' } } })))
  const { code, stdout } = await runHere(['validate', file])
  assert.equal(code, 0)
  assert.match(
    stdout,
    /is valid; a consumer of it needs .*; a mark takes 213 bytes of the queue's Redis for 48h .*: 35\.1Mi at one/,
  )
  const json = JSON.parse((await runHere(['validate', '-o', 'json', file])).stdout)
  assert.equal(json.files[0].resources[0].markMemory, describeMarks(2 * 86_400_000))
})

test('the metric is that of the present rate, and is missing while no look has found one', () => {
  const family = families.find(({ name }) => name === 'streampipeline_marks_memory_bytes')
  assert.ok(family !== undefined)
  const valuesAt = (observation: object) =>
    family.values({ key: 'a/b', pipeline: pipelineWith({}), observation, acknowledged: 0, status: undefined } as never, undefined)
  assert.deepEqual(valuesAt({ kind: 'Seen', arrivalsPerSecond: 10 }), [['', 864_000 * markBytes]])
  assert.deepEqual(valuesAt({ kind: 'Seen' }), [])
  assert.deepEqual(valuesAt({ kind: 'None' }), [])
})
