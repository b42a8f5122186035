/**
 * The required suite of JSON Schema 2020-12: no schema with local references is refused, no verdict is wrong, whichever way a
 * payload takes.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { compilePayloadSchema, validate } from '../../../api/index.ts'
import { createCodec } from '../../../redis/payload/codec.ts'
import { foreign, suite } from '../../api/suite.ts'
import { payloadWith, resourceWith } from '../../redis/resource.ts'
import { runHere } from '../../support/commandline.ts'

const local = suite.filter(({ name }) => !foreign.has(name))
const payloadOf = (schema: object) => ({ encoding: 'Json', field: 'p', schema })

/** The suite treats formats as annotations. A consumer asserts them, so the file on formats does not apply. */
const asserting = local.filter(({ name }) => !name.startsWith('format: '))

test('the function: schemas refused 0, verdicts wrong 0', (t) => {
  const refused: string[] = []
  const wrong: string[] = []
  const judges = { Fast: 0, Exact: 0 }
  let verdicts = 0
  for (const { name, schema, tests } of local) {
    try {
      const judge = compilePayloadSchema(schema, { formats: 'Annotated' })
      judges[judge.choice.kind] += 1
      for (const { name: what, payload, valid } of tests) {
        verdicts += 1
        if (judge(payload) !== valid) wrong.push(`${name}: ${what}`)
      }
    } catch (thrown) {
      refused.push(`${name}: ${String(thrown)}`)
    }
  }
  t.diagnostic(`schemas with local references: ${local.length}, refused: ${refused.length}`)
  t.diagnostic(`verdicts: ${verdicts}, wrong: ${wrong.length}`)
  t.diagnostic(`judged by ajv: ${judges.Fast}, by @hyperjump/json-schema: ${judges.Exact}`)
  assert.deepEqual({ refused, wrong }, { refused: [], wrong: [] })
  assert.ok(local.length > 350 && verdicts > 1_200 && judges.Exact > 50, 'the suite is all there')
})

test('validate: schemas refused 0', (t) => {
  const refused = local.flatMap(({ name, schema }) =>
    validate(resourceWith({ payload: payloadOf(schema) })).map(({ field, message }) => `${name}: ${field}: ${message}`),
  )
  t.diagnostic(`refused by validate: ${refused.length} of ${local.length}`)
  assert.deepEqual(refused, [])
})

test('what leads out of the schema, or is of another dialect, is refused by name', () => {
  for (const { name, schema } of suite.filter(({ name: each }) => foreign.has(each))) {
    const problems = validate(resourceWith({ payload: payloadOf(schema) }))
    assert.ok(problems.length > 0, name)
    for (const { message } of problems) {
      assert.match(message, /leads out of the schema, to .*copy that schema into \$defs|is another dialect .*drop \$schema/, name)
    }
  }
})

test('a consumer’s decoding: verdicts wrong 0', (t) => {
  const wrong: string[] = []
  let verdicts = 0
  for (const { name, schema, tests } of asserting) {
    const codec = createCodec(payloadWith(payloadOf(schema)))
    for (const { name: what, payload, valid } of tests) {
      const decoded = codec.decode(['p', JSON.stringify(payload)].map((part) => Buffer.from(part)))
      // A number that no double holds is no payload under any schema.
      if (decoded.kind === 'Invalid' && /cannot be held exactly/.test(decoded.error)) continue
      verdicts += 1
      if ((decoded.kind === 'Valid') !== valid) wrong.push(`${name}: ${what}`)
    }
  }
  t.diagnostic(`verdicts of decoding: ${verdicts}, wrong: ${wrong.length}`)
  assert.deepEqual(wrong, [])
})

test('`streampipeline validate`: schemas refused 0', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-suite-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'suite.json')
  const items = local.map(({ schema }) => resourceWith({ payload: payloadOf(schema) }))
  await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }))
  const { stdout } = await runHere(['validate', file])
  const valid = stdout.split('\n').filter((line) => line.includes(' is valid; ')).length
  t.diagnostic(`accepted by the command: ${valid} of ${local.length}`)
  assert.equal(valid, local.length)
})
