/** `streampipeline types`: what it writes is TypeScript, and takes and refuses what the schema does, as far as a type can. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { runHere } from '../../support/commandline.ts'
import { run } from '../../support/process.ts'
import { projectRoot } from '../../support/root.ts'

const schema = {
  type: 'object',
  description: 'A request for */ an index.',
  required: ['farm', 'kind', 'area', 'not-named'],
  additionalProperties: false,
  properties: {
    farm: { type: 'integer', minimum: 1, description: 'Number of the farm.' },
    kind: { enum: ['ndvi', 'a|b', null, 3] },
    area: { $ref: '#/$defs/area' },
    'two words': { type: ['string', 'null'] },
    pair: { type: 'array', prefixItems: [{ type: 'string' }, { type: 'number' }], items: false },
    tags: { type: 'array', items: { anyOf: [{ type: 'string' }, { type: 'boolean' }] } },
    sensor: { oneOf: [{ type: 'object', properties: { id: { const: 's2' } }, required: ['id'] }, { $ref: '#/$defs/area' }] },
    rest: { type: 'object', additionalProperties: { type: 'number' } },
    all: {
      allOf: [
        { type: 'object', properties: { a: { type: 'string' } } },
        { type: 'object', properties: { b: { type: 'string' } } },
      ],
    },
    anything: {},
  },
  $defs: {
    area: {
      type: 'object',
      required: ['points'],
      properties: { points: { type: 'array', items: { type: 'number' } }, within: { $ref: '#/$defs/area' } },
    },
  },
} as const

const use = `import type { NdviJobsPayload } from './ndvi.d.ts'
const area = { points: [1, 2], within: { points: [] } }
export const good: NdviJobsPayload[] = [
  { farm: 1, kind: 'ndvi', area, 'not-named': 1 },
  { farm: 1, kind: null, area, 'not-named': {}, 'two words': null, pair: ['a', 1], tags: ['a', true], sensor: { id: 's2' } },
  { farm: 1, kind: 'a|b', area, 'not-named': 0, pair: ['a'], sensor: area, rest: { a: 1 }, all: { a: 'a', b: 'b' }, anything: [] },
]
const base = { farm: 1, kind: 'ndvi', area, 'not-named': 1 } as const
// @ts-expect-error
export const b1: NdviJobsPayload = { ...base, farm: '1' }
// @ts-expect-error
export const b2: NdviJobsPayload = { ...base, kind: 'other' }
// @ts-expect-error
export const b3: NdviJobsPayload = { farm: 1, kind: 'ndvi', area }
// @ts-expect-error
export const b4: NdviJobsPayload = { ...base, other: 1 }
// @ts-expect-error
export const b5: NdviJobsPayload = { ...base, tags: [1] }
// @ts-expect-error
export const b6: NdviJobsPayload = { ...base, pair: ['a', 'b'] }
// @ts-expect-error
export const b7: NdviJobsPayload = { ...base, area: { points: ['a'] } }
// @ts-expect-error
export const b8: NdviJobsPayload = { ...base, rest: { a: 'b' } }
`

async function folderWith(t: TestContext, payload: object) {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-types-'))
  t.after(() => rm(folder, { recursive: true }))
  const resource = {
    apiVersion: 'streampipeline.dev/v1alpha1',
    kind: 'StreamPipeline',
    metadata: { name: 'ndvi-jobs' },
    spec: {
      redis: { url: 'redis://redis:6379/0' },
      source: { stream: 's', group: 'g' },
      payload,
      sink: { bullmq: { queue: 'q' } },
    },
  }
  await writeFile(join(folder, 'pipeline.yaml'), JSON.stringify(resource))
  return folder
}

test('the compiler takes what it writes, and it separates valid payloads from others', async (t) => {
  const folder = await folderWith(t, { encoding: 'Json', field: 'payload', schema })
  const out = join(folder, 'ndvi.d.ts')
  const { code, stderr } = await runHere(['types', '-f', join(folder, 'pipeline.yaml'), '--out', out])
  assert.equal(code, 0, stderr)
  assert.match(await readFile(out, 'utf8'), /Number of the farm\. \*\/\n {2}readonly farm: number/)
  await writeFile(join(folder, 'use.ts'), use)
  const settings = {
    compilerOptions: { strict: true, noEmit: true, allowImportingTsExtensions: true, skipLibCheck: false, types: [] },
  }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(settings))
  const compiler = join(projectRoot, 'node_modules', 'typescript', 'bin', 'tsc')
  const compiled = await run(t, [compiler, '-p', folder])
  assert.equal(compiled.stdout, '')
  assert.equal(compiled.code, 0)
})

test('without a schema a payload is any object; a place that cannot be written is named', async (t) => {
  const folder = await folderWith(t, {})
  const file = join(folder, 'pipeline.yaml')
  assert.match((await runHere(['types', '-f', file])).stdout, /export type NdviJobsPayload = Readonly<Record<string, unknown>>\n/)
  const { code, stderr } = await runHere(['types', '-f', file, '--out', join(folder, 'no', 'where.d.ts')])
  assert.notEqual(code, 0)
  assert.match(stderr, /--out: ENOENT/)
})
