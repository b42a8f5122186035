/**
 * Resources, entries and payloads on which releases are compared. It imports nothing of the product: each release reads it with
 * its own code.
 */
import { forms } from '../fieldforms.ts'

/** Text, or bytes in base64. */
type Part = string | { readonly base64: string }

export interface GoldenCase {
  readonly what: string
  /** `spec.payload`. */
  readonly payload: object
  /** Field, value, …, as any producer writes them. */
  readonly entries: readonly (readonly Part[])[]
  /** The input of a dispatcher. */
  readonly dispatched: readonly object[]
}

const json = (document: string, ...beside: string[]) => ['body', document, ...beside]
const document = { encoding: 'Json', field: 'body' }

const numbers = [
  '0',
  '-0',
  '7',
  '-7',
  '1.5',
  '0.1',
  '1e3',
  '1E+3',
  '100e-2',
  '1.0',
  '5e-324',
  '1.7976931348623157e308',
  '1e21',
  '1e400',
]
  .concat(['1e-400', '9007199254740991', '9007199254740992', '9007199254740993', '9007199254740993.0', '90071992547409930e-1'])
  .concat([
    '0.12345678901234566',
    '0.1234567890123456789',
    '123456789.123456789012',
    '123456789012345678901',
    '1e23',
    '01',
    '+1',
    '1.',
  ])
  .concat(['', ' 1', 'NaN', 'Infinity', '0x10', '.5', '1_000', '3.0000000000000000000', '72057594037927940', '72057594037927936'])

const request = {
  type: 'object',
  additionalProperties: false,
  required: ['job_id', 'request_hash', 'farm_id', 'engine', 'enqueue_timestamp'],
  properties: {
    job_id: { type: 'integer', minimum: 1 },
    request_hash: { type: 'string', pattern: '^[0-9a-f]{64}$' },
    farm_id: { type: 'integer', minimum: 1 },
    engine: { type: 'string', enum: ['sentinel-hub', 'earth-engine', 'local-raster'] },
    enqueue_timestamp: { type: 'number', minimum: 0 },
  },
}
const sent = {
  job_id: 7,
  request_hash: 'a0'.repeat(32),
  farm_id: 12,
  engine: 'earth-engine',
  enqueue_timestamp: 1764412345.123,
}

const texts = ['', ' ', 'null', 'NaN', 'a', 'ä\u2028"', '0', 'false', '[]', '{}', '{"b":1,"a":2}', '{"a":2,"b":1}']
const written = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))
const flat = (payload: object) => Object.entries(payload).flatMap(([name, value]) => [name, String(written(value))])

const typed = (type: unknown) => ({ schema: { type: 'object', properties: { f: type } } })

export const goldenCases: readonly GoldenCase[] = [
  {
    what: 'a request as in the examples',
    payload: { schema: request, idempotencyKey: ['request_hash'] },
    entries: [
      flat(sent),
      [...flat(sent), 'traceparent', '00-1-2-01', 'sp-redrives', '2'],
      flat({ ...sent, job_id: 0 }),
      flat({ ...sent, more: 1 }),
    ],
    dispatched: [sent, { ...sent, job_id: '7' }, { ...sent, engine: 'x' }],
  },
  {
    what: 'no schema, the whole payload as key',
    payload: {},
    entries: [
      ...texts.map((text) => ['a', text]),
      ['a', '1', 'b', '2'],
      ['b', '2', 'a', '1'],
      ['a', '1', 'a', '1'],
      ['a', { base64: 'wyg=' }],
      [{ base64: '/w==' }, 'a'],
      ['__proto__', 'x', 'constructor', 'y'],
      ['traceparent', 'x', 'a', '1'],
    ],
    dispatched: [
      { a: 1 },
      { a: '1' },
      { a: true, b: [1, '2'], c: { d: null } },
      { a: null },
      { a: Number.NaN },
      { a: 2 ** 60 },
      { a: 2 ** 53 },
      { a: 1e21 },
    ],
  },
  {
    what: 'no schema, one key',
    payload: { idempotencyKey: ['k'] },
    entries: [...texts.map((text) => ['k', text, 'a', '1']), ['a', '1']],
    dispatched: [
      ...texts.map((k) => ({ k })),
      { k: 1 },
      { k: true },
      { k: [1, 2] },
      { k: { b: 1, a: 2 } },
      { k: null },
      { a: 1 },
    ],
  },
  {
    what: 'a key of two fields',
    payload: { idempotencyKey: ['a', 'b'] },
    entries: [
      ['a', '1,2', 'b', '3'],
      ['a', '1', 'b', '2,3'],
      ['b', 'x', 'a', '1', 'c', 'beside'],
      ['a', '', 'b', '1'],
      ['a', '1', 'b', ''],
    ],
    dispatched: [{ a: 1, b: 'x' }, { a: '', b: 'x' }, { b: 1 }],
  },
  {
    what: 'a nullable key',
    payload: { ...typed({ type: ['integer', 'null'] }), idempotencyKey: ['f'] },
    entries: [
      ['f', 'null'],
      ['f', '7'],
      ['f', '7.0'],
      ['f', 'a'],
    ],
    dispatched: [{ f: null }, { f: 7 }],
  },
  {
    what: 'documents',
    payload: document,
    entries: [
      ...numbers.map((number) => json(`{"n":${number}}`)),
      ...texts.map((text) => json(JSON.stringify({ text }))),
      json('{"b":1,"a":{"d":1,"c":[1,{"f":1,"e":2}]}}'),
      json('{"a":1,"a":2}'),
      json('{"a":1,"\\u0061":2}'),
      json('{"a":[{"x":{"b":1,"b":1}}]}'),
      json('{"a":":","b":"{\\"a\\":1,\\"a\\":2}"}'),
      json('{"__proto__":{"a":1}}'),
      json('{}'),
      json('[1]'),
      json('null'),
      json('{'),
      json(`{"a":${'['.repeat(99)}${']'.repeat(99)}}`),
      json(`{"a":${'['.repeat(100)}${']'.repeat(100)}}`),
      json('{"a":1}', 'traceparent', 't'),
      json('{"a":1}', 'other', '1'),
      json('{"a":1}', 'body', '{"a":1}'),
      json(' {"a" : 1 , "b":"\\ud83d\\ude00"}\n'),
    ],
    dispatched: [
      {},
      { a: 1 },
      { at: new Date(0) },
      { a: 2 ** 53 },
      { a: 2 ** 60 },
      { a: 0.1 },
      { a: -0 },
      { a: Number.NaN },
      { a: undefined },
    ],
  },
  {
    what: 'documents with a key',
    payload: { ...document, idempotencyKey: ['k'] },
    entries: ['""', 'null', '0', 'false', '1.0', '"1"', '[]', '{"b":1,"a":2}', '" "', '"null"'].map((k) => json(`{"k":${k}}`)),
    dispatched: [{ k: '' }, { k: null }, { k: 1 }, { k: '1' }, { k: [1] }, { k: Number.NaN }],
  },
  {
    what: 'numbers in fields',
    payload: typed({ type: 'number' }),
    entries: numbers.map((number) => ['f', number]),
    dispatched: [{ f: 1 }, { f: 1.5 }, { f: 1e21 }, { f: 2 ** 53 }, { f: 5e-324 }, { f: -0 }, { f: '1' }, { f: null }],
  },
  {
    what: 'integers in fields',
    payload: typed({ type: 'integer' }),
    entries: numbers.map((number) => ['f', number]),
    dispatched: [{ f: 1 }, { f: 1.5 }, { f: 2 ** 53 - 1 }],
  },
  {
    what: 'JSON in fields',
    payload: typed({ type: ['object', 'array'] }),
    entries: [
      '{"a":1}',
      '[1,"2"]',
      ' {}',
      '{"a":1,"a":2}',
      '{"a":9007199254740993}',
      '{"a":0.1234567890123456789}',
      '{',
      'x',
    ].map((text) => ['f', text]),
    dispatched: [{ f: { a: [1, null] } }, { f: [] }, { f: 'x' }],
  },
  ...forms.map(({ what, schema, accepts = [], refuses = [], ambiguous = [], reads = [] }) => ({
    what: `form: ${what}`,
    payload: { schema: { type: 'object', ...schema } },
    entries: [...[...accepts, ...refuses, ...ambiguous].map(flat), ...reads.map(([entry]) => flat(entry))],
    dispatched: [...accepts, ...refuses, ...ambiguous],
  })),
]
