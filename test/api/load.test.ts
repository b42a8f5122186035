import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { loadPipelines } from '../../api/load.ts'
import '../support/leaks.ts'

const load = (text: string) => loadPipelines(text, 'file.yaml')
const one = (spec: string) =>
  load(`kind: StreamPipeline\nspec:\n${spec.replaceAll(/^/gm, '  ')}\n`)[0]?.document as { spec: unknown }

test('values are read as kubectl reads them', () => {
  const rows: readonly (readonly [string, unknown])[] = [
    ['a: 010', 8],
    ['a: 0x10', 16],
    ['a: 0o10', 8],
    ['a: -0X1F', -31],
    ['a: +0B11', 3],
    ['a: 09', 9],
    ['a: 0x', '0x'],
    ['a: 1e3', 1000],
    ['a: .', '.'],
    ['a: .e1', '.e1'],
    ['a: 1.2.3', '1.2.3'],
    ['a: [yEs, oN, nO]', ['yEs', 'oN', 'nO']],
    ['a: 1_000', 1000],
    ['a: 1.5', 1.5],
    ['a: ~', null],
    ['a: null', null],
    ['a: true', true],
    ['a: "y"', 'y'],
    ["a: 'off'", 'off'],
    ['a: 2001-01-01', '2001-01-01'],
    ['a: 12:30:45', '12:30:45'],
    ['a: |\n  yes\n  no', 'yes\nno\n'],
    ['a: [yesterday, nothing, only]', ['yesterday', 'nothing', 'only']],
    ['x: &x {b: 1}\na: {<<: *x, c: 2}', { b: 1, c: 2 }],
  ]
  for (const [text, value] of rows) assert.deepEqual((one(text).spec as { a: unknown }).a, value, text)
})

test('unquoted words that YAML 1.1 takes for booleans are refused, with line and remedy', () => {
  const words = ['y', 'Y', 'n', 'N', 'yes', 'Yes', 'YES', 'no', 'NO', 'on', 'On', 'off', 'OFF']
  for (const word of words) {
    const boolean = /^(y|o?n$)/i.test(word) && !/^n/i.test(word)
    const remedy = new RegExp(
      `line 3, column \\d+: .*unquoted ${word} for ${boolean}: write "${word}" for the text, ${boolean} for`,
    )
    assert.throws(() => one(`a: ${word}`), { code: 'InvalidPipeline', message: remedy }, word)
    assert.throws(() => one(`${word}: 1`), { message: remedy }, `${word} as a key`)
    assert.throws(() => one(`a: [x, ${word}]`), { message: remedy }, `${word} in a list`)
  }
})

test('numbers that JSON does not have are refused', () => {
  for (const word of ['.inf', '-.Inf', '.nan']) {
    assert.throws(() => one(`a: ${word}`), { message: /line 3, column 6: JSON has no number/ }, word)
  }
})

test('every ambiguous word of a document is named at once', () => {
  assert.throws(() => one('required: [x, y]\nproperties: {n: {type: integer}}'), {
    message: /line 3, column 17.*line 4, column 16/,
  })
})

test('syntax errors name line and column', () => {
  const rows: readonly (readonly [string, RegExp])[] = [
    ['kind: StreamPipeline\nspec: {a: [1}\n', /file\.yaml is not a valid .*line 2, column \d+/],
    ['kind: StreamPipeline\nspec:\n\ta: 1\n', /line 3, column 1/],
    ['kind: StreamPipeline\nkind: StreamPipeline\n', /line 2, column 1: Map keys must be unique/],
    ['kind: StreamPipeline\nspec: *nowhere\n', /nowhere/],
  ]
  for (const [text, message] of rows) assert.throws(() => load(text), { code: 'InvalidPipeline', message }, text)
})

test('a file may hold several documents, other kinds and Lists', () => {
  const text = [
    '# a comment alone',
    '---',
    'apiVersion: v1',
    'kind: Secret',
    '---',
    'kind: StreamPipeline',
    'metadata: {name: a}',
    '---',
    '---',
    'kind: List',
    'items:',
    '- kind: StreamPipeline',
    '  metadata: {name: b}',
    '- kind: ConfigMap',
    '- kind: StreamPipeline',
    '  metadata: {name: c}',
  ].join('\n')
  const loaded = load(text)
  assert.deepEqual(
    loaded.map(({ line, document }) => [line, (document as { metadata: { name: string } }).metadata.name]),
    [
      [6, 'a'],
      [12, 'b'],
      [15, 'c'],
    ],
  )
})

test('JSON is read too', () => {
  assert.deepEqual(load('{"kind": "StreamPipeline", "spec": {"y": true}}')[0]?.document, {
    kind: 'StreamPipeline',
    spec: { y: true },
  })
})

test('a file without a StreamPipeline is refused; a misspelt one is kept for the check to report', () => {
  for (const text of ['', '# nothing\n', '---\n---\n', 'kind: Secret\n']) {
    assert.throws(() => load(text), { code: 'InvalidPipeline', message: /it holds no StreamPipeline/ }, text)
  }
  assert.equal(load('kind: Streampipeline\napiVersion: streampipeline.dev/v1alpha1\n').length, 1)
  assert.equal(load('spec: {}\n').length, 1)
})

test('a field is found on its line, and a missing one on the line of what should hold it', () => {
  const [loaded] = load('kind: StreamPipeline\nspec:\n  redis:\n    cluster:\n      nodes:\n      - a:1\n      - b\n  sink: {}\n')
  const rows: readonly (readonly [string, number])[] = [
    ['spec', 2],
    ['spec.redis.cluster.nodes[1]', 7],
    ['spec.redis.url', 3],
    ['spec.sink.bullmq.queue', 8],
    ['metadata.name', 1],
    ['', 1],
  ]
  for (const [field, line] of rows) assert.equal(loaded?.lineOf(field), line, field)
})

test('any JSON value that is written as YAML comes back the same', () => {
  const json = fc.jsonValue({ maxDepth: 3 })
  fc.assert(
    fc.property(json, (value) => {
      // YAML 1.1 writes this key as a merge, whose value must be an object.
      fc.pre(!JSON.stringify(value).includes('"<<"'))
      const text = stringify(
        { kind: 'StreamPipeline', value },
        { version: '1.1', defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'QUOTE_DOUBLE' },
      )
      assert.equal(JSON.stringify(load(text)[0]?.document), JSON.stringify({ kind: 'StreamPipeline', value }))
    }),
    { numRuns: 300 },
  )
})
