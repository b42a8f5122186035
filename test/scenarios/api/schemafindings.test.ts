/** The findings of `validate` on payload schemas: acceptance, warnings, and the place of refusals. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { compilePayloadSchema, parsePipeline, pipelineWarnings, validate, validateFile } from '../../../api/index.ts'
import { resourceWith } from '../../redis/resource.ts'

type Schema = Readonly<Record<string, unknown>>

const documentOf = (schema: Schema) => resourceWith({ payload: { schema } })
const about = (member: unknown): Schema => ({ type: 'object', properties: { amount: member } })
const said = (schema: Schema) => validate(documentOf(schema)).map(({ field, message }) => `${field}: ${message}`)
const at = 'spec.payload.schema.properties.amount'

const accepted: Readonly<Record<string, Schema>> = {
  'zod: a nullable, a record, a tuple': {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    properties: {
      a: { anyOf: [{ type: 'string', format: 'uuid', pattern: '^[0-9a-f-]{36}$' }, { type: 'null' }] },
      b: { type: 'object', propertyNames: { type: 'string' }, additionalProperties: { type: 'number' } },
      c: { type: 'array', prefixItems: [{ type: 'string' }, { type: 'number' }] },
      d: { type: 'integer', exclusiveMinimum: 0, maximum: 9007199254740991 },
      e: { default: 'x', type: 'string' },
    },
    required: ['a', 'b'],
    additionalProperties: false,
  },
  'pydantic: titles, $defs, discriminator': {
    $defs: {
      Cat: {
        properties: { kind: { const: 'cat', title: 'Kind', type: 'string' } },
        required: ['kind'],
        title: 'Cat',
        type: 'object',
      },
      Dog: {
        properties: { kind: { const: 'dog', title: 'Kind', type: 'string' } },
        required: ['kind'],
        title: 'Dog',
        type: 'object',
      },
      Level: { enum: [1, 2], title: 'Level', type: 'integer' },
    },
    properties: {
      pet: {
        discriminator: { mapping: { cat: '#/$defs/Cat', dog: '#/$defs/Dog' }, propertyName: 'kind' },
        oneOf: [{ $ref: '#/$defs/Cat' }, { $ref: '#/$defs/Dog' }],
      },
      level: { $ref: '#/$defs/Level', default: 1 },
      note: { anyOf: [{ type: 'string' }, { type: 'null' }], default: null, title: 'Note' },
    },
    title: 'Model',
    type: 'object',
  },
  'TypeBox: a recursive schema by $id': {
    $id: 'Node',
    type: 'object',
    required: ['id', 'nodes'],
    properties: { id: { type: 'string' }, nodes: { type: 'array', items: { $ref: 'Node' } } },
  },
  'typescript-json-schema and quicktype: definitions, dependencies': {
    $ref: '#/definitions/Order',
    definitions: {
      Order: {
        type: 'object',
        properties: { a: { type: 'string', 'qt-uri-protocols': ['https'] }, b: { type: 'string' } },
        dependencies: { a: ['b'], b: { required: ['a'] } },
        propertyOrder: ['a', 'b'],
        tsType: 'Order',
      },
    },
  },
  'annotations of OpenAPI and editors': about({
    ...{ example: 1, examples: [1], 'x-order': 1, $comment: 'c', deprecated: true, readOnly: false, xml: {}, externalDocs: {} },
    ...{ markdownDescription: 'm', enumNames: ['a'], errorMessage: 'e', 'ui:widget': 'w', title: 't', format: 'objectid' },
  }),
  'an OpenAPI document’s own places': {
    ...about({ $ref: '#/components/schemas/Amount' }),
    components: { schemas: { Amount: { type: 'number' } } },
  },
  'a type beside null at the root': { type: ['object', 'null'] },
  'the standard’s own schema': about({ $ref: 'https://json-schema.org/draft/2020-12/schema' }),
  'a name with dots and slashes': { ...about({ $ref: '#/$defs/a.b~1c~0d%25' }), $defs: { 'a.b/c~d%': { type: 'number' } } },
}

for (const [what, schema] of Object.entries(accepted)) {
  test(`accepted: ${what}`, () => {
    assert.deepEqual(said(schema), [])
    assert.equal(typeof compilePayloadSchema(schema)({}), 'boolean')
  })
}

for (const [written, meant] of [
  ...[
    ['typ', 'type'],
    ['Type', 'type'],
    ['types', 'type'],
    ['propertes', 'properties'],
    ['requird', 'required'],
    ['minlength', 'minLength'],
  ],
  ...[
    ['min_length', 'minLength'],
    ['maxLenght', 'maxLength'],
    ['patern', 'pattern'],
    ['additionalproperties', 'additionalProperties'],
  ],
  ...[
    ['additionalProperty', 'additionalProperties'],
    ['oneof', 'oneOf'],
    ['any_of', 'anyOf'],
    ['item', 'items'],
    ['enums', 'enum'],
  ],
  ...[
    ['fromat', 'format'],
    ['ref', '$ref'],
    ['defs', '$defs'],
    ['uniqueItem', 'uniqueItems'],
    ['unevaluatedProps', undefined],
  ],
  ...[
    ['multipleof', 'multipleOf'],
    ['exclusiveMinumum', 'exclusiveMinimum'],
    ['descripton', 'description'],
    ['const_', 'const'],
  ],
] as const) {
  test(`a likely slip of the hand: ${written}`, () => {
    const [first = ''] = said(about({ [written]: true }))
    if (meant === undefined) assert.equal(first, '')
    else
      assert.equal(
        first,
        `${at}.${written}: unknown keyword: "${written}": write ${meant}, or begin the name with x- to keep it as an annotation`,
      )
  })
}

const refused: readonly (readonly [member: unknown, path: string, says: RegExp])[] = [
  [{ type: 'strng' }, '.type', /type is the text "strng": write one of null, boolean/],
  [{ minLength: '5' }, '.minLength', /minLength is the text "5": write a whole number, 0 or more/],
  [{ items: [{ type: 'string' }] }, '.items', /of draft 7: write prefixItems/],
  [
    { minimum: 1, exclusiveMinimum: true },
    '.exclusiveMinimum',
    /of draft 4: write exclusiveMinimum with the number instead of minimum/,
  ],
  [{ required: true }, '.required', /of draft 3: write required as a list of names/],
  [{ type: 'string', nullable: true }, '.nullable', /OpenAPI 3.0 .*write type: \["string","null"\]/],
  [{ $ref: 'https://x.test/y.json' }, '.$ref', /leads out of the schema, to https:\/\/x\.test\/y\.json, and nothing is fetched/],
  [{ $ref: '#/$defs/absent' }, '.$ref', /leads to no schema/],
  [{ $ref: '#absent' }, '.$ref', /leads to no schema/],
  [{ pattern: '(' }, '.pattern', /is no regular expression \(.*\): correct it/],
  [{ pattern: '^(a)\\1' }, '.pattern', /cannot be run in linear time .*write it without back-references/],
  [{ patternProperties: { '(a)\\1': {} } }, '.patternProperties["(a)\\\\1"]', /cannot be run in linear time/],
  [{ properties: { a: 5 } }, '.properties.a', /"a" is the number 5: write a schema/],
  [{ anyOf: [{}, 'x'] }, '.anyOf[1]', /this is the text "x": write a schema/],
  [{ anyOf: [] }, '.anyOf', /anyOf is an empty list: write a list of schemas, at least one/],
  [{ allOf: [{ properties: { 'a.b': { $async: true } } }] }, '.allOf[0].properties["a.b"].$async', /drop it/],
  [{ $schema: 'http://json-schema.org/draft-07/schema#' }, '.$schema', /another dialect .*or drop \$schema/],
  [{ $vocabulary: { 'https://x.test/v': true } }, '.$vocabulary', /"https:\/\/x\.test\/v" is required and not known/],
  [{ $id: '#name' }, '.$id', /without a fragment; a name within the schema is an \$anchor/],
  [{ $recursiveRef: '#' }, '.$recursiveRef', /2019-09: write \$dynamicRef/],
]

for (const [member, path, says] of refused) {
  test(`refused where it stands: ${JSON.stringify(member)}`, () => {
    const [first, ...others] = validate(documentOf(about(member)))
    assert.deepEqual(others, [])
    assert.equal(first?.field, `${at}${path}`)
    assert.match(first?.message ?? '', says)
    assert.doesNotMatch(first?.message ?? '', /strict mode|data\/|schema is invalid/)
  })
}

/** Accepted at 610099e: the resource goes on, its consumer with a warning, and payloads are judged as before. */
const tolerated: readonly (readonly [what: string, schema: Schema, valid: unknown, invalid: unknown])[] = [
  ['nullable', about({ type: 'string', nullable: true }), { amount: null }, { amount: 1 }],
  ['$async', { $async: true, ...about({ type: 'string' }) }, { amount: 'a' }, { amount: 1 }],
  ['$async below', about({ $async: true, type: 'string' }), { amount: 'a' }, { amount: 1 }],
  [
    '$recursiveRef',
    about({ anyOf: [{ $recursiveRef: '#' }, { type: 'null' }], type: ['object', 'null'] }),
    { amount: { amount: null } },
    { amount: { amount: 1 } },
  ],
  [
    'a remote reference that nothing uses',
    { ...about({ type: 'string' }), $defs: { x: { $ref: 'https://x.test/' } } },
    { amount: 'a' },
    { amount: 1 },
  ],
  [
    'a slip in what nothing uses',
    { ...about({ type: 'string' }), $defs: { x: { typ: 'string' } } },
    { amount: 'a' },
    { amount: 1 },
  ],
  [
    'a pattern in what nothing uses',
    { ...about({ type: 'string' }), $defs: { x: { pattern: '(a)\\1' } } },
    { amount: 'a' },
    { amount: 1 },
  ],
  ['a circle', about({ anyOf: [{ type: 'string' }, { $ref: '#/properties/amount' }] }), { amount: 'a' }, { amount: 1 }],
  [
    'a dialect below the root',
    about({ $schema: 'http://json-schema.org/draft-07/schema#', type: 'string' }),
    { amount: 'a' },
    { amount: 1 },
  ],
]

for (const [what, schema, valid, invalid] of tolerated) {
  test(`refused by validate, and goes on where it runs: ${what}`, () => {
    const document = documentOf(schema)
    const problems = validate(document)
    assert.equal(problems.length, 1)
    assert.equal(problems[0]?.tolerated, true)
    assert.doesNotThrow(() => parsePipeline(document))
    assert.deepEqual(pipelineWarnings(document).slice(0, 1), problems)
    const judge = compilePayloadSchema(schema)
    assert.equal(judge(valid), true)
    assert.equal(judge(invalid), false)
  })
}

test('a problem in a part of the schema that judges payloads stops a consumer too', () => {
  for (const member of [{ typ: 'string' }, { $ref: 'https://x.test/' }, { pattern: '(a)\\1' }, { type: 'strng' }]) {
    assert.throws(() => parsePipeline(documentOf(about(member))), { code: 'InvalidPipeline' })
    assert.throws(() => compilePayloadSchema(about(member)), /^Error: schema\.properties\.amount\./)
  }
})

test('what has no effect is a warning, with its line; and the validator is named', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-findings-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'p.yaml')
  const yaml = (members: string) => `apiVersion: streampipeline.dev/v1alpha1
kind: StreamPipeline
metadata: {name: ndvi}
spec:
  payload:
    schema:
      type: object
${members}
  redis: {url: "redis://127.0.0.1:6379"}
  source: {stream: jobs, group: workers}
  sink: {bullmq: {queue: jobs}}
`
  await writeFile(
    file,
    yaml(
      '      properties:\n        "a.b":\n          additionalItems: false\n          format: nonsense\n      unevaluatedProperties: false',
    ),
  )
  const report = await validateFile(file)
  assert.deepEqual(report.problems, [])
  assert.deepEqual(
    report.remarks.map((remark) => remark.slice(file.length, file.length + 80).replace(/(properties\["a\.b"\]\.\w+).*/, '$1')),
    [':10: spec.payload.schema.properties["a.b"].additionalItems', ':11: spec.payload.schema.properties["a.b"].format'],
  )
  assert.equal(
    report.resources[0]?.judge,
    '@hyperjump/json-schema, because of unevaluatedProperties (spec.payload.schema.unevaluatedProperties)',
  )
  await writeFile(file, yaml('      properties:\n        "a.b":\n          typ: string'))
  const [problem = ''] = (await validateFile(file)).problems
  assert.ok(problem.startsWith(`${file}:10: spec.payload.schema.properties["a.b"].typ: `), problem)
})
