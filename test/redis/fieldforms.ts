/**
 * Forms in which a schema types the fields of an entry. Each form has accepted and refused payloads. Sometimes only other fields,
 * or none, show whether a field is a text. Such a form also has the outcome for an entry of a foreign producer.
 */
type Payload = Readonly<Record<string, unknown>>

export interface Form {
  readonly what: string
  /** Beside `type: object`. */
  readonly schema: Payload
  /** Arrive as they are. */
  readonly accepts?: readonly Payload[]
  /** Neither dispatched nor, as an entry, made a job. */
  readonly refuses?: readonly Payload[]
  /** Fields of an entry, and the data that the job gets. */
  readonly reads?: readonly (readonly [entry: Readonly<Record<string, string>>, data: Payload])[]
  /** Accepted by the schema, but the dispatcher cannot say it in text. */
  readonly ambiguous?: readonly Payload[]
  /** `validate` refuses the schema, naming this property. */
  readonly undecided?: string
}

const integer = { type: 'integer' }
const number = { type: 'number' }
const boolean = { type: 'boolean' }
const text = { type: 'string' }
const nothing = { type: 'null' }
const f = (schema: unknown, more: Payload = {}): Payload => ({ properties: { f: schema }, ...more })
const kind = (value: string, properties: Payload, more: Payload = {}) => ({
  type: 'object',
  properties: { kind: { const: value }, ...properties },
  required: ['kind'],
  ...more,
})

const plain: readonly Form[] = [
  { what: 'no schema of the field', schema: {}, reads: [[{ f: '7' }, { f: '7' }]], ambiguous: [{ f: null }] },
  { what: 'a schema that says nothing', schema: f({}), reads: [[{ f: 'true' }, { f: 'true' }]], ambiguous: [{ f: null }] },
  { what: 'true', schema: f(true), accepts: [{ f: '7' }], ambiguous: [{ f: null }] },
  { what: 'false', schema: f(false), refuses: [{ f: 7 }, { f: 'a' }, { f: null }] },
  { what: 'integer', schema: f(integer), accepts: [{ f: 7 }, { f: -1 }], refuses: [{ f: 1.5 }, { f: null }, { f: 'a' }] },
  { what: 'number', schema: f(number), accepts: [{ f: 1.5 }, { f: 1e21 }], refuses: [{ f: true }, { f: [1] }] },
  { what: 'boolean', schema: f(boolean), accepts: [{ f: true }, { f: false }], refuses: [{ f: 1 }, { f: 'yes' }] },
  { what: 'null', schema: f(nothing), accepts: [{ f: null }], refuses: [{ f: 0 }, { f: '' }] },
  { what: 'string', schema: f(text), accepts: [{ f: '7' }, { f: 'null' }, { f: '' }], ambiguous: [{ f: null }] },
  { what: 'object', schema: f({ type: 'object' }), accepts: [{ f: { a: '1', b: [1] } }], refuses: [{ f: [1] }, { f: '{' }] },
  { what: 'array', schema: f({ type: 'array' }), accepts: [{ f: [1, '1', null] }], refuses: [{ f: { a: 1 } }] },
  {
    what: 'a list of types',
    schema: f({ type: ['integer', 'boolean'] }),
    accepts: [{ f: 7 }, { f: true }],
    refuses: [{ f: 'a' }],
  },
  { what: 'nullable integer', schema: f({ type: ['integer', 'null'] }), accepts: [{ f: 7 }, { f: null }] },
  {
    what: 'nullable text',
    schema: f({ type: ['string', 'null'] }),
    accepts: [{ f: 'a' }, { f: 'null' }],
    ambiguous: [{ f: null }],
  },
  { what: 'nullable object', schema: f({ type: ['object', 'null'] }), accepts: [{ f: null }, { f: { a: null } }] },
  { what: 'text or integer', schema: f({ type: ['string', 'integer'] }), reads: [[{ f: '7' }, { f: '7' }]] },
]

const values: readonly Form[] = [
  { what: 'enum of numbers', schema: f({ enum: [1, 2] }), accepts: [{ f: 2 }], refuses: [{ f: 3 }, { f: 'a' }] },
  { what: 'enum of number and text', schema: f({ enum: [1, 'auto'] }), accepts: [{ f: 1 }, { f: 'auto' }], refuses: [{ f: 2 }] },
  { what: 'enum of a number and its text', schema: f({ enum: [1, '1'] }), reads: [[{ f: '1' }, { f: '1' }]] },
  { what: 'enum of null and text', schema: f({ enum: [null, 'a'] }), accepts: [{ f: null }, { f: 'a' }], refuses: [{ f: 'b' }] },
  { what: 'enum of null and "null"', schema: f({ enum: [null, 'null'] }), accepts: [{ f: 'null' }], ambiguous: [{ f: null }] },
  { what: 'enum of lists', schema: f({ enum: [[1], ['a']] }), accepts: [{ f: [1] }, { f: ['a'] }], refuses: [{ f: [2] }] },
  { what: 'const number', schema: f({ const: 2 }), accepts: [{ f: 2 }], refuses: [{ f: 1 }] },
  { what: 'const boolean', schema: f({ const: true }), accepts: [{ f: true }], refuses: [{ f: false }] },
  { what: 'const null', schema: f({ const: null }), accepts: [{ f: null }], refuses: [{ f: 'a' }] },
  { what: 'const text of a number', schema: f({ const: '2' }), accepts: [{ f: '2' }], refuses: [{ f: 3 }] },
  { what: 'const object', schema: f({ const: { a: 1 } }), accepts: [{ f: { a: 1 } }], refuses: [{ f: { a: 2 } }] },
]

const combined: readonly Form[] = [
  { what: 'anyOf', schema: f({ anyOf: [integer, nothing] }), accepts: [{ f: 7 }, { f: null }], refuses: [{ f: 'a' }] },
  { what: 'anyOf in anyOf', schema: f({ anyOf: [{ anyOf: [integer, nothing] }, boolean] }), accepts: [{ f: 7 }, { f: true }] },
  { what: 'anyOf with text', schema: f({ anyOf: [integer, text] }), accepts: [{ f: '7' }], reads: [[{ f: '7' }, { f: '7' }]] },
  {
    what: 'anyOf with a format',
    schema: f({ anyOf: [integer, { ...text, format: 'date' }] }),
    accepts: [{ f: 7 }, { f: '2026-01-31' }],
    refuses: [{ f: 'soon' }],
  },
  {
    what: 'anyOf with a pattern',
    schema: f({ anyOf: [number, { ...text, pattern: '^[a-z]+$' }] }),
    accepts: [{ f: 7 }, { f: 'null' }],
    refuses: [{ f: 'A' }],
    ambiguous: [{ f: null }],
  },
  {
    what: 'anyOf with long text',
    schema: f({ anyOf: [integer, { ...text, minLength: 3 }] }),
    accepts: [{ f: 12 }, { f: '123' }],
  },
  {
    what: 'anyOf with short text',
    schema: f({ anyOf: [integer, { ...text, maxLength: 3 }] }),
    accepts: [{ f: 1234 }, { f: '123' }],
  },
  { what: 'oneOf', schema: f({ oneOf: [integer, nothing] }), accepts: [{ f: 7 }, { f: null }] },
  {
    what: 'oneOf that overlaps',
    schema: f({ oneOf: [integer, { ...number, minimum: 5 }] }),
    accepts: [{ f: 1 }, { f: 5.5 }],
    refuses: [{ f: 7 }],
  },
  {
    what: 'oneOf of list and object',
    schema: f({ oneOf: [{ type: 'array' }, { type: 'object' }] }),
    accepts: [{ f: [1] }, { f: { a: 1 } }],
  },
  { what: 'allOf', schema: f({ allOf: [integer, { ...integer, minimum: 1 }] }), accepts: [{ f: 7 }], refuses: [{ f: 0 }] },
  { what: 'allOf that narrows', schema: f({ allOf: [{ type: ['integer', 'string'] }, integer] }), accepts: [{ f: 7 }] },
  { what: 'not text', schema: f({ not: text }), accepts: [{ f: 7 }, { f: null }], refuses: [{ f: 'a' }] },
  {
    what: 'if in the field',
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema.
    schema: f({ if: number, then: { ...integer, minimum: 1 }, else: nothing }),
    accepts: [{ f: 7 }, { f: null }],
    refuses: [{ f: 0 }],
  },
]

const referring: readonly Form[] = [
  { what: '$ref', schema: f({ $ref: '#/$defs/n' }, { $defs: { n: integer } }), accepts: [{ f: 7 }], refuses: [{ f: 'a' }] },
  {
    what: '$ref to a $ref',
    schema: f({ $ref: '#/$defs/a' }, { $defs: { a: { $ref: '#/$defs/b' }, b: integer } }),
    accepts: [{ f: 7 }],
  },
  {
    what: '$ref in anyOf',
    schema: f({ anyOf: [{ $ref: '#/$defs/n' }, nothing] }, { $defs: { n: integer } }),
    accepts: [{ f: 7 }, { f: null }],
  },
  {
    what: '$ref beside keywords',
    schema: f({ $ref: '#/$defs/n', type: 'integer', minimum: 1 }, { $defs: { n: integer } }),
    accepts: [{ f: 7 }],
    refuses: [{ f: 0 }],
  },
  {
    what: '$ref to text',
    schema: f({ $ref: '#/$defs/t' }, { $defs: { t: text } }),
    accepts: [{ f: '7' }],
    ambiguous: [{ f: null }],
  },
  { what: '$ref with escapes', schema: f({ $ref: '#/$defs/a~1b%20c' }, { $defs: { 'a/b c': integer } }), accepts: [{ f: 7 }] },
  {
    what: '$anchor',
    schema: f({ $ref: '#number' }, { $defs: { n: { $anchor: 'number', ...integer } } }),
    accepts: [{ f: 7 }],
  },
  {
    what: '$id-relative',
    schema: {
      $id: 'https://example.com/a/root',
      ...f({ $ref: 'n' }),
      $defs: { n: { $id: 'https://example.com/a/n', ...integer } },
    },
    accepts: [{ f: 7 }],
  },
  {
    what: 'pointer into an $id',
    schema: {
      $id: 'https://example.com/root',
      ...f({ $ref: 'more#/$defs/n' }),
      $defs: { more: { $id: 'more', $defs: { n: integer } } },
    },
    accepts: [{ f: 7 }],
  },
  {
    what: 'recursion',
    schema: f({ $ref: '#/$defs/tree' }, { $defs: { tree: { type: 'array', items: { $ref: '#/$defs/tree' } } } }),
    accepts: [{ f: [[], [[]]] }],
    refuses: [{ f: [1] }],
  },
  { what: '$ref to the whole', schema: f({ $ref: '#' }, { type: 'object' }), accepts: [{ f: { f: {} } }], refuses: [{ f: 'a' }] },
  {
    what: '$ref of the whole',
    schema: { $ref: '#/$defs/w', $defs: { w: { type: 'object', ...f(integer) } } },
    accepts: [{ f: 7 }],
  },
]

const maps: readonly Form[] = [
  { what: 'additionalProperties', schema: { additionalProperties: integer }, accepts: [{ a: 7, b: 8 }], refuses: [{ a: 'x' }] },
  {
    what: 'additionalProperties beside others',
    schema: { properties: { k: text }, additionalProperties: integer },
    accepts: [{ k: '1', a: 7 }],
  },
  {
    what: 'additionalProperties: false',
    schema: f(integer, { additionalProperties: false }),
    accepts: [{ f: 7 }],
    refuses: [{ g: 7 }],
  },
  { what: 'patternProperties', schema: { patternProperties: { '^is_': boolean } }, accepts: [{ is_new: true, other: 'true' }] },
  {
    what: 'two patterns',
    schema: { patternProperties: { '^a': { type: ['integer', 'string'] }, b$: number } },
    accepts: [{ ab: 1, a: '1' }],
  },
  {
    what: 'pattern beside property',
    schema: { properties: { is_n: { type: ['integer', 'boolean'] } }, patternProperties: { '^is_': boolean } },
    accepts: [{ is_n: true }],
    refuses: [{ is_n: 7 }],
  },
  {
    what: 'patterns, else a map',
    schema: { patternProperties: { '^s_': text }, additionalProperties: number },
    accepts: [{ s_a: '7', n: 7 }],
  },
  { what: 'unevaluatedProperties', schema: f(text, { unevaluatedProperties: integer }), accepts: [{ f: '7', g: 7 }] },
  {
    what: 'a name of the prototype',
    schema: { properties: { constructor: integer } },
    accepts: [{ constructor: 7, toString: '7' }],
  },
  { what: 'allOf of objects', schema: { allOf: [f(integer), { properties: { g: boolean } }] }, accepts: [{ f: 7, g: true }] },
  {
    what: 'propertyNames',
    schema: { propertyNames: { maxLength: 2 }, additionalProperties: integer },
    accepts: [{ ab: 7 }],
    refuses: [{ abc: 7 }],
  },
]

const inner: readonly Form[] = [
  {
    what: 'a tuple',
    schema: f({ type: 'array', prefixItems: [integer, text], items: false, minItems: 2 }),
    accepts: [{ f: [1, '1'] }],
    refuses: [{ f: ['1', 1] }, { f: [1, '1', 2] }],
  },
  {
    what: 'a tuple and a rest',
    schema: f({ type: 'array', prefixItems: [text], items: number, minItems: 1 }),
    accepts: [{ f: ['a', 1, 2.5] }],
  },
  {
    what: 'items',
    schema: f({ type: 'array', items: { anyOf: [integer, text] } }),
    accepts: [{ f: [1, '1'] }],
    refuses: [{ f: [null] }],
  },
  {
    what: 'nested objects',
    schema: f({ type: 'object', properties: { a: { type: 'object' }, b: text } }),
    accepts: [{ f: { a: { b: 1 }, b: '1' } }],
  },
]

const alternatives: readonly Form[] = [
  { what: 'anyOf of objects', schema: { anyOf: [f(integer), f(nothing)] }, accepts: [{ f: 7 }, { f: null }] },
  {
    what: 'a discriminated union',
    schema: { oneOf: [kind('a', { v: integer }), kind('b', { v: text })] },
    accepts: [
      { kind: 'a', v: 7 },
      { kind: 'b', v: '7' },
    ],
    refuses: [{ kind: 'c', v: 7 }, { v: 7 }, { kind: 'a', v: 'x' }],
  },
  {
    what: 'a union through $ref',
    schema: {
      anyOf: [{ $ref: '#/$defs/a' }, { $ref: '#/$defs/b' }],
      $defs: { a: kind('a', { v: integer, w: text }), b: kind('b', { w: boolean }) },
    },
    accepts: [
      { kind: 'a', v: 7, w: 'true' },
      { kind: 'b', w: true },
    ],
  },
  {
    what: 'a union by a number',
    schema: {
      oneOf: [1, 2].map((v) => ({ properties: { v: { const: v }, f: v === 1 ? integer : text }, required: ['v', 'f'] })),
    },
    accepts: [
      { v: 1, f: 7 },
      { v: 2, f: '7' },
    ],
    refuses: [{ v: 3, f: 7 }],
  },
  {
    what: 'a union by what is required',
    schema: { oneOf: [f(integer, { required: ['f'] }), { properties: { g: integer }, required: ['g'] }] },
    accepts: [{ f: 7 }, { g: 7 }],
  },
  {
    what: 'a union of closed objects',
    schema: {
      anyOf: [
        f(integer, { additionalProperties: false }),
        { properties: { g: boolean }, additionalProperties: false, required: ['g'] },
      ],
    },
    accepts: [{ f: 7 }, { g: true }],
    refuses: [{ f: 7, g: true }],
  },
  {
    what: 'if, then, else',
    schema: {
      properties: { kind: text },
      if: { properties: { kind: { const: 'n' } } },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema.
      then: f(integer),
      else: f(text),
    },
    accepts: [
      { kind: 'n', f: 7 },
      { kind: 't', f: '7' },
    ],
    refuses: [{ kind: 'n', f: 'a' }],
  },
  {
    what: 'if and then',
    schema: {
      if: { properties: { kind: { const: 'n' } }, required: ['kind'] },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema.
      then: f(integer, { required: ['f'] }),
    },
    accepts: [{ kind: 'n', f: 7 }, { kind: 't', f: '7' }, { f: '7' }],
    refuses: [{ kind: 'n' }],
  },
  {
    what: 'if about a number that has its type',
    schema: {
      properties: { n: integer },
      if: { properties: { n: { const: 1 } }, required: ['n'] },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema.
      then: { properties: { g: boolean }, required: ['g'] },
    },
    accepts: [{ n: 1, g: true }, { n: 2, g: 'true' }, { n: 2 }],
    refuses: [{ n: 1 }],
  },
  {
    what: 'dependentSchemas',
    schema: { dependentSchemas: { card: { properties: { n: integer }, required: ['n'] } } },
    accepts: [{ card: 'x', n: 7 }, { n: '7' }],
    refuses: [{ card: 'x', n: 'a' }, { card: 'x' }],
  },
  {
    what: 'a union within a case',
    schema: { oneOf: [kind('a', { v: { anyOf: [integer, { enum: ['auto'] }] } }), kind('b', { v: text })] },
    accepts: [
      { kind: 'a', v: 7 },
      { kind: 'a', v: 'auto' },
      { kind: 'b', v: '7' },
    ],
  },
]

const open: readonly Form[] = [
  { what: 'a type in one alternative', schema: { anyOf: [f(integer), { properties: { g: text } }] }, undecided: 'f' },
  { what: 'a type beside no schema', schema: { anyOf: [f(integer), {}] }, undecided: 'f' },
  {
    what: 'a type in a condition only',
    schema: {
      if: { properties: { n: { const: 1 } } },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema.
      then: { properties: { g: text }, required: ['g'] },
    },
    undecided: 'n',
  },
  { what: 'a type under not', schema: { not: { properties: { n: { const: 1 } }, required: ['n'] } }, undecided: 'n' },
]

export const forms: readonly Form[] = [
  ...plain,
  ...values,
  ...combined,
  ...referring,
  ...maps,
  ...inner,
  ...alternatives,
  ...open,
]
