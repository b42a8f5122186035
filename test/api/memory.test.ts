/** The statement of `validate` on a consumer's memory. That consumers keep to it: test/scenarios/consumer/memory.test.ts. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { compilePipeline } from '../../api/compile.ts'
import { imageHeapBytes, memoryNeed } from '../../api/memory.ts'
import { parsePipeline } from '../../api/validate.ts'
import { v8Flags } from '../../build/v8flags.ts'
import { runHere } from '../support/commandline.ts'
import { type Json, resourceOf } from './table/resource.ts'

const mebi = 2 ** 20
const needOf = (spec: Json) => {
  const { batchBytes, batches, totalBytes, heapBytes } = memoryNeed(
    compilePipeline(parsePipeline(resourceOf({ name: '', spec }))),
  )
  return [batchBytes / mebi, batches, totalBytes / mebi, heapBytes / mebi]
}

test('what a consumer may hold follows payload, batch and batches in flight', () => {
  assert.deepEqual(needOf({}), [4, 3, 224, 96])
  assert.deepEqual(needOf({ payload: { maxBytes: '1Mi' } }), [16, 3, 512, 192])
  assert.deepEqual(needOf({ payload: { maxBytes: '1Mi' }, source: { batchSize: 2, inFlightBatches: 1 } }), [2, 1, 144, 96])
  assert.deepEqual(needOf({ source: { batchBytes: '64Mi' } }), [25, 3, 728, 300])
  assert.deepEqual(needOf({ payload: { maxBytes: '1Ki' }, source: { batchSize: 1024 - 24 } }), [1000 / 1024, 3, 152, 96])
})

test('the heap it reckons with is the image’s', () => {
  assert.match(v8Flags.consumer, new RegExp(`--max-old-space-size=${imageHeapBytes / mebi}\\b`))
})

const warnings: [what: string, spec: Json, says: readonly RegExp[]][] = [
  ['the defaults', {}, []],
  [
    'larger payloads',
    { payload: { maxBytes: '1Mi' } },
    [
      /^warning: \S+:1: spec\.consumer\.env: V8's heap ends at 96Mi, .* need 192Mi of it\. Write \{name: NODE_OPTIONS, value: "--max-semi-space-size=4 --max-old-space-size=192"\}, or lower/,
      /^warning: \S+:1: spec\.consumer\.resources\.limits\.memory: a consumer may need up to 512Mi .* Write 512Mi, or lower payload\.maxBytes/,
    ],
  ],
  [
    'larger payloads, heap and limit raised as advised',
    {
      payload: { maxBytes: '1Mi' },
      consumer: {
        env: [{ name: 'NODE_OPTIONS', value: '--max-semi-space-size=4 --max-old-space-size=192' }],
        resources: { limits: { memory: '512Mi' } },
      },
    },
    [],
  ],
  [
    'a limit that is too low for small batches as well, the heap from elsewhere',
    { consumer: { envFrom: [{ configMapRef: { name: 'options' } }], resources: { limits: { memory: '100M' } } } },
    [
      /limits\.memory: a consumer may need up to 224Mi of memory: 128Mi, and 8 times what 3 batches of up to 4Mi may hold\. Write/,
    ],
  ],
  ['no limit at all', { consumer: { resources: { requests: {} } } }, []],
]
for (const [what, spec, says] of warnings) {
  test(`validate reports the need, and for ${what} ${says.length} warnings`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'streampipeline-memory-'))
    t.after(() => rm(folder, { recursive: true }))
    const file = join(folder, 'pipeline.yaml')
    await writeFile(file, JSON.stringify(resourceOf({ name: what, spec })))
    const { code, stdout } = await runHere(['validate', file])
    assert.equal(code, 0)
    const [verdict = '', ...reported] = stdout.trimEnd().split('\n')
    assert.match(verdict, /: default\/ndvi is valid; a consumer of it needs up to \d+Mi of memory: 128Mi, and 8 times/)
    assert.equal(reported.length, says.length, stdout)
    for (const [index, line] of reported.toSorted().entries()) assert.match(line, says[index] ?? /never/)
    const json = JSON.parse((await runHere(['validate', '-o', 'json', file])).stdout)
    assert.equal(json.files[0].remarks.length, says.length)
    assert.match(json.files[0].resources[0].memory, /^up to \d+Mi/)
  })
}

const copies: [what: string, spec: Json, says: RegExp | undefined][] = [
  ['no copies', {}, undefined],
  [
    'the defaults',
    { deadLetter: { requestCopy: true } },
    /up to 12750Mi of the queue's Redis .*\(deadLetter\.requestCopy\): up to 256Ki .* each of 50000 jobs that wait .* and 1000 that are completed and kept .* each job that is at work or failed$/,
  ],
  [
    'small payloads, nothing kept',
    {
      deadLetter: { requestCopy: true },
      payload: { maxBytes: '1Ki' },
      sink: { bullmq: { queue: 'ndvi', maxWaiting: 100, jobOptions: { removeOnComplete: { count: 0 } } } },
    },
    /up to 100Ki of .* each of 100 jobs that wait \(sink\.bullmq\.maxWaiting\), and as much for each job that is at work or failed$/,
  ],
  [
    'completed jobs kept by age alone',
    {
      deadLetter: { requestCopy: true },
      sink: { bullmq: { queue: 'ndvi', jobOptions: { removeOnComplete: { age: '1h' } } } },
    },
    /up to 12500Mi of .* for each job that is at work or completed or failed$/,
  ],
]
for (const [what, spec, says] of copies) {
  test(`validate reports the cost of copies of requests in the queue's Redis: ${what}`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'streampipeline-memory-'))
    t.after(() => rm(folder, { recursive: true }))
    const file = join(folder, 'pipeline.yaml')
    await writeFile(file, JSON.stringify(resourceOf({ name: what, spec })))
    const { code, stdout } = await runHere(['validate', file])
    assert.equal(code, 0)
    const reported = stdout.split('\n').find((line) => line.includes('copies of requests'))
    const json = JSON.parse((await runHere(['validate', '-o', 'json', file])).stdout)
    const phrase = json.files[0].resources[0].queueMemory
    if (says === undefined) assert.deepEqual([reported, phrase], [undefined, undefined])
    else {
      assert.match(reported ?? '', says)
      assert.ok(reported?.endsWith(`: default/ndvi needs ${phrase}`), `${reported}`)
    }
  })
}
