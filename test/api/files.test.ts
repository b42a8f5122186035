import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { stringify } from 'yaml'
import { validateFile } from '../../api/index.ts'
import { generated, stale } from '../../build/documents.ts'
import '../support/leaks.ts'
import { minimal, patched } from './table/resource.ts'

test('a file is checked whole, each problem with its line', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-api-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'pipelines.yaml')
  const wrong = patched(minimal, { metadata: { name: 'wrong' }, spec: { suspend: 3, source: { batchSize: 0 } } })
  const text = [minimal, wrong].map((document) => stringify(document)).join('---\n')
  await writeFile(file, text)
  const lineOf = (piece: string) => text.slice(0, text.indexOf(piece)).split('\n').length

  const report = await validateFile(file)
  assert.deepEqual(
    report.resources.map(({ name, problems }) => [name, problems.length]),
    [
      ['default/ndvi', 0],
      ['default/wrong', 2],
    ],
  )
  assert.deepEqual(
    report.problems.map((line) => line.slice(file.length)),
    [
      `:${lineOf('batchSize: 0')}: spec.source.batchSize: should be greater than or equal to 1`,
      `:${lineOf('suspend: 3')}: spec.suspend: must be of type boolean, is integer`,
    ],
  )

  await writeFile(file, 'kind: StreamPipeline\nspec: {mode: no}\n')
  const [problem = ''] = (await validateFile(file)).problems
  assert.match(problem, /line 2, column 14.*write "no" for the text/)
  await assert.rejects(validateFile(join(folder, 'nowhere.yaml')), { code: 'UnreadableFile', message: /ENOENT/ })
})

test('the examples are valid', async () => {
  const folder = new URL('../../examples/', import.meta.url).pathname
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.yaml'))) {
    assert.deepEqual((await validateFile(join(folder, file))).problems, [])
  }
})

test('generated files are in step with the schema', () => {
  assert.deepEqual(stale(), [], 'run `npm run generate` and commit the result')
})

test('the definition fits into the annotation that client-side apply keeps, 256 KiB', () => {
  assert.ok((generated().get('crds/streampipelines.yaml')?.length ?? 0) < 250_000)
})

test('numbers of a schema that no double holds are warned of, with their line, in YAML and in JSON', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-api-'))
  t.after(() => rm(folder, { recursive: true }))
  const properties = {
    amount: '{"type": "integer", "maximum": 9007199254740993}',
    id: '{"const": -9007199254740993}',
    size: '{"enum": [1, 9007199254740993, 9007199254740992]}',
    'a.b': '{"multipleOf": 0.12345678901234567891}',
    held: '{"type": "number", "default": 0.1, "maximum": 9007199254740992, "minimum": 1e23}',
    text: '{"const": "9007199254740993"}',
  }
  const members = Object.entries(properties).map(([name, text]) => `      ${JSON.stringify(name)}: ${text}`)
  const schema = `{"type": "object", "properties": {\n${members.join(',\n')}\n}}`
  const placed = JSON.stringify(patched(minimal, { spec: { payload: { schema: 'HERE' } } }))
  assert.ok(placed.includes('"HERE"'))
  for (const kind of ['json', 'yaml']) {
    const text = kind === 'json' ? placed.replace('"HERE"', schema) : `---\n# YAML\n${placed.replace('"HERE"', schema)}\n`
    const file = join(folder, `pipeline.${kind}`)
    await writeFile(file, text)
    const report = await validateFile(file)
    assert.deepEqual(report.problems, [])
    const lineOf = (piece: string) => text.slice(0, text.indexOf(piece)).split('\n').length
    assert.deepEqual(
      report.remarks
        .filter((line) => line.includes('no double'))
        .map((line) => line.slice(file.length).replace(/: payloads .*/, '')),
      [
        `:${lineOf('"amount"')}: spec.payload.schema.properties.amount.maximum: no double holds 9007199254740993`,
        `:${lineOf('"id"')}: spec.payload.schema.properties.id.const: no double holds -9007199254740993`,
        `:${lineOf('"size"')}: spec.payload.schema.properties.size.enum[1]: no double holds 9007199254740993`,
        `:${lineOf('"a.b"')}: spec.payload.schema.properties["a.b"].multipleOf: no double holds 0.12345678901234567891`,
      ],
    )
  }
})
