/** Entries as an enemy would write them, from a seed: names, bytes, sizes, JSON bombs, ids of queue internals. */

export type Fields = Buffer[]

/** Mulberry32: small, seeded, good enough to choose with. */
export function createRandom(seed: number) {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (bound: number) => Math.floor(next() * bound)
  const pick = <T>(from: readonly T[]): T => from[below(from.length)] as T
  const bytes = (length: number) => Buffer.from(Array.from({ length }, () => below(256)))
  return { next, below, pick, bytes }
}

type Random = ReturnType<typeof createRandom>

/** Names that mean something somewhere: to JavaScript, to BullMQ, to Lua, to us. */
export const names = [
  ...[
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'hasOwnProperty',
    'valueOf',
    '__defineGetter__',
    'then',
    'toJSON',
    'length',
  ],
  ...[
    '',
    ' ',
    '\u0000',
    '\n',
    '*',
    '{',
    '}',
    '{}',
    '{tag}',
    ':',
    '0',
    '-1',
    'NaN',
    'undefined',
    'null',
    '\ud83d\ude00',
    '\u202e',
    'ﬀ',
  ],
  ...[
    'wait',
    'active',
    'meta',
    'id',
    'events',
    'marker',
    'delayed',
    'completed',
    'failed',
    'pc',
    'repeat',
    'limiter',
    'stalled',
    'dead',
  ],
  ...[
    'bull:hostile:wait',
    'bull:hostile:meta',
    'sp:{hostile}:mark',
    'jobId',
    'opts',
    'data',
    'timestamp',
    'finishedOn',
    'parentKey',
  ],
  ...[
    'sp',
    'sp-',
    'sp-redrives',
    'sp-id',
    'SP-x',
    'traceparent',
    'tracestate',
    'payload',
    'k',
    'n',
    'list',
    'KEYS[1]',
    "');redis.call('FLUSHALL')--",
  ],
]

const jsons = [
  '{}',
  '[]',
  'null',
  '0',
  '""',
  '{',
  '}',
  '{"a":',
  '{"a":1,}',
  "{'a':1}",
  'NaN',
  'Infinity',
  '-',
  '1e400',
  '-1e400',
  '1e-400',
  '01',
  '+1',
  '.5',
  '{"k":"a","k":"b"}',
  '{"__proto__":{"polluted":true},"k":"x"}',
  '{"constructor":{"prototype":{"polluted":true}},"k":"x"}',
  '{"k":{"toJSON":1}}',
  '{"k":"\\ud800"}',
  '{"k":"\\u0000"}',
  '{"k":1e400}',
  '{"k":9007199254740993}',
  `{"k":${'9'.repeat(400)}}`,
  '{"k":1e-400}',
  '{"k":-0}',
  '\ufeff{"k":"bom"}',
  '{"k":"wait"}',
  '{"k":"meta"}',
  '{"k":["*"]}',
]

const deep = (depth: number, open: string, close: string) => `${open.repeat(depth)}1${close.repeat(depth)}`

function value(random: Random): Buffer {
  switch (random.below(14)) {
    case 0:
      return random.bytes(random.below(64))
    case 1:
      return Buffer.alloc(random.below(70_000), random.below(256))
    case 2:
      return Buffer.from(deep(random.below(3_000), '[', ']'))
    case 3:
      return Buffer.from(deep(random.below(3_000), '{"a":', '}'))
    case 4:
      return Buffer.from(
        `[${Array.from({ length: random.below(5_000) }, () => random.pick(['{}', '[]', '0', '"a"'])).join(',')}]`,
      )
    case 5:
      return Buffer.from(`${'['.repeat(random.below(60_000))}`)
    case 6:
      return Buffer.from(random.pick(names))
    case 7:
      return Buffer.from(random.pick(['a', 'ab', 'a ', 'aA', ':']).repeat(random.below(30_000)) + random.pick(['', '!', '\n']))
    case 8:
      return Buffer.from(
        String(random.pick([2 ** 53, -(2 ** 53), 1e308, 1e-308, 0.1, -0, 2 ** 31])) + random.pick(['', '0'.repeat(400), 'e999']),
      )
    default:
      return Buffer.from(random.pick(jsons))
  }
}

function name(random: Random): Buffer {
  switch (random.below(8)) {
    case 0:
      return random.bytes(random.below(40))
    case 1:
      return Buffer.alloc(random.pick([64, 1_000, 65_536]), 'n')
    default:
      return Buffer.from(random.pick(names))
  }
}

/** One entry's flat list; never empty, as Redis demands. */
export function hostileFields(random: Random): Fields {
  if (random.below(6) === 0) return [Buffer.from('k'), random.below(2) === 0 ? Buffer.from(random.pick(jsons)) : value(random)]
  const many = random.below(60) === 0
  const count = many ? random.pick([65, 1_000, 3_990, 4_001, 5_000]) : 1 + random.below(5)
  const fields: Fields = []
  for (let i = 0; i < count; i++) {
    if (many) fields.push(Buffer.from(`f${i}`), Buffer.from(String(i)))
    else fields.push(name(random), value(random))
  }
  if (random.below(3) === 0)
    fields.push(Buffer.from('k'), random.below(2) === 0 ? Buffer.from(random.pick(names)) : value(random))
  return fields
}
