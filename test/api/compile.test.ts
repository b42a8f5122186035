import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compilePipeline, errorCatalogue, parsePipeline, StreamPipelineError, validate } from '../../api/index.ts'
import { hashTag, slotOf } from '../../redis/keys.ts'
import '../support/leaks.ts'
import { changed } from './agreement.ts'
import { invalid, invalidBeyondServer } from './table/invalid.ts'
import { type Json, minimal, onCluster, type Row, resourceOf } from './table/resource.ts'
import { valid } from './table/valid.ts'

const compiled = (spec: Json = {}) => compilePipeline(parsePipeline(resourceOf({ name: '', spec })))

test('the smallest pipeline gets every default', () => {
  assert.deepEqual(compilePipeline(parsePipeline(minimal)), {
    name: 'ndvi',
    namespace: 'default',
    uid: '',
    generation: 0,
    mode: 'Stream',
    suspend: false,
    replicas: 1,
    redis: { kind: 'Url', url: 'redis://redis:6379/0' },
    source: {
      stream: 'ndvi:jobs',
      group: 'ndvi',
      startFrom: 'Beginning',
      batchSize: 100,
      batchBytes: 4 * 2 ** 20,
      blockMs: 5000,
      inFlightBatches: 3,
      retention: { settledForMs: 3_600_000, ignoredGroups: [] },
    },
    payload: { encoding: 'Fields', field: '', maxBytes: 262_144, maxFields: 64 },
    reclaim: { minIdleMs: 60_000, intervalMs: 15_000 },
    delivery: { maxDeliveries: 5 },
    idempotency: { windowMs: 86_400_000, lockTtlMs: 30_000 },
    deadLetter: { stream: '{ndvi:jobs}:dead', maxEntries: 100_000, failedJobs: 'Capture', requestCopy: false },
    sink: {
      queue: 'ndvi',
      prefix: 'bull',
      jobName: 'process',
      jobOptions: { attempts: 1, removeOnComplete: { count: 1000, age: 86_400 }, removeOnFail: { age: 604_800 } },
      maxWaiting: 50_000,
    },
    scaling: {
      policy: 'Active',
      minReplicas: 1,
      maxReplicas: 10,
      targetAgeMs: 30_000,
      idleAfterMs: 120_000,
      onMetricsLoss: 'Hold',
      schedules: [],
    },
    logLevel: 'Info',
    terminationGracePeriodMs: 60_000,
  })
})

test('each way to Redis becomes one of four kinds, and a reference keeps the field that names it', () => {
  const secretKeyRef = { name: 's', key: 'k' }
  const reference = (field: string, kind = 'Secret') => ({ kind, name: 's', key: 'k', field })
  const rows: readonly (readonly [Json, object])[] = [
    [
      {
        url: 'rediss://r:6379',
        usernameFrom: { configMapKeyRef: secretKeyRef },
        tls: { caFrom: { secretKeyRef }, serverName: 'r' },
      },
      {
        kind: 'Url',
        url: 'rediss://r:6379',
        username: reference('spec.redis.usernameFrom', 'ConfigMap'),
        tls: { ca: reference('spec.redis.tls.caFrom'), serverName: 'r' },
      },
    ],
    [
      { url: null, urlFrom: { secretKeyRef }, tls: {} },
      { kind: 'UrlFrom', from: reference('spec.redis.urlFrom'), tls: {} },
    ],
    [
      { url: null, cluster: { nodes: ['r1:6379', '[fd00::1]:7000'] }, passwordFrom: { secretKeyRef } },
      {
        kind: 'Cluster',
        nodes: [
          { host: 'r1', port: 6379 },
          { host: 'fd00::1', port: 7000 },
        ],
        password: reference('spec.redis.passwordFrom'),
      },
    ],
    [
      {
        url: null,
        sentinel: { master: 'm', nodes: ['s1:26379'], passwordFrom: { secretKeyRef } },
        passwordFrom: { secretKeyRef },
      },
      {
        kind: 'Sentinel',
        master: 'm',
        nodes: [{ host: 's1', port: 26379 }],
        database: 0,
        sentinelPassword: reference('spec.redis.sentinel.passwordFrom'),
        password: reference('spec.redis.passwordFrom'),
      },
    ],
  ]
  for (const [redis, target] of rows) assert.deepEqual(compiled({ redis }).redis, target)
  const elsewhere = compiled({ sink: { bullmq: { redis: { url: 'redis://q', passwordFrom: { secretKeyRef } } } } }).sink.redis
  assert.deepEqual(elsewhere, { kind: 'Url', url: 'redis://q', password: reference('spec.sink.bullmq.redis.passwordFrom') })
})

test('derived names share the slot of the stream', () => {
  const rows: readonly (readonly [Json, string, string])[] = [
    [{}, '{ndvi:jobs}:dead', 'bull'],
    [{ source: { stream: 'jobs:{ndvi}' } }, 'jobs:{ndvi}:dead', 'bull'],
    [onCluster({}), '{ndvi:jobs}:dead', 'bull{ndvi:jobs}'],
    [onCluster({ source: { stream: 'jobs:{ndvi}' } }), 'jobs:{ndvi}:dead', 'bull{ndvi}'],
    [onCluster({ sink: { bullmq: { redis: { url: 'redis://q' } } } }), '{ndvi:jobs}:dead', 'bull'],
    [{ sink: { bullmq: { redis: { cluster: { nodes: ['q:1'] } } } } }, '{ndvi:jobs}:dead', 'bull{ndvi:jobs}'],
    [{ deadLetter: { stream: 'dead' }, sink: { bullmq: { prefix: 'farm' } } }, 'dead', 'farm'],
  ]
  for (const [spec, dead, prefix] of rows) {
    const { source, deadLetter, sink } = compiled(spec)
    assert.deepEqual([deadLetter.stream, sink.prefix], [dead, prefix])
    if (dead !== 'dead') assert.equal(slotOf(dead), slotOf(source.stream))
    if (prefix.includes('{')) assert.equal(hashTag(`${prefix}:${sink.queue}:wait`), hashTag(source.stream))
  }
})

test("job options become BullMQ's", () => {
  const jobOptions = (given: Json) =>
    compiled({ deadLetter: { failedJobs: 'Leave' }, sink: { bullmq: { jobOptions: given } } }).sink.jobOptions
  assert.deepEqual(
    jobOptions({
      attempts: 3,
      backoff: { type: 'Exponential', delay: '1500ms' },
      priority: 7,
      delay: '2s',
      lifo: true,
      removeOnComplete: { count: 0 },
      removeOnFail: {},
    }),
    {
      attempts: 3,
      backoff: { type: 'exponential', delay: 1500 },
      priority: 7,
      delay: 2000,
      lifo: true,
      removeOnComplete: { count: 0 },
      removeOnFail: false,
    },
  )
  assert.deepEqual(jobOptions({ removeOnFail: { count: 5, age: '1500ms' } }).removeOnFail, { count: 5, age: 2 })
})

test('the compiled form is frozen throughout', () => {
  const check = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    assert.ok(Object.isFrozen(value))
    Object.values(value).forEach(check)
  }
  for (const row of valid) check(compilePipeline(parsePipeline(resourceOf(row))))
})

test('parsing leaves the document alone and a second time changes nothing', () => {
  for (const row of valid) {
    const document = resourceOf(row)
    const before = structuredClone(document)
    const parsed = parsePipeline(document)
    assert.deepEqual(document, before, row.name)
    assert.deepEqual(parsePipeline(parsed), parsed, row.name)
  }
})

test('a status of another release is dropped, a known one kept', () => {
  const withStatus = (status: Json): Row => ({ name: '', whole: { status } })
  assert.deepEqual(parsePipeline(resourceOf(withStatus({ replicas: 3 }))).status, { replicas: 3 })
  assert.equal(parsePipeline(resourceOf(withStatus({ somethingNew: 3 }))).status, undefined)
})

test('what is invalid is refused by name, field and remedy, without its secrets', () => {
  for (const row of [...invalid, ...invalidBeyondServer]) {
    assert.throws(
      () => parsePipeline(resourceOf(row)),
      (thrown: unknown) => {
        assert.ok(thrown instanceof StreamPipelineError)
        assert.equal(thrown.code, 'InvalidPipeline')
        assert.ok(thrown.message.includes(row.field), thrown.message)
        assert.ok(thrown.message.toLowerCase().includes(row.says.toLowerCase()), thrown.message)
        assert.ok(row.secret === undefined || !thrown.message.includes(row.secret), thrown.message)
        return true
      },
    )
  }
})

test('documents that are no objects are refused, not stumbled over', () => {
  for (const document of [undefined, null, 1, 'text', [], {}, { metadata: [] }, { spec: 1 }, { metadata: null, spec: null }]) {
    assert.throws(() => parsePipeline(document), { code: 'InvalidPipeline' }, JSON.stringify(document))
  }
})

test('fields called like members of every object are just unknown', () => {
  for (const name of ['__proto__', 'constructor', 'toString']) {
    const spec = Object.fromEntries([...Object.entries(minimal.spec), [name, { mode: 'Direct' }]])
    const problems = validate({ ...minimal, spec })
    assert.deepEqual(
      problems.map(({ field }) => field),
      [`spec.${name}`],
    )
  }
})

test('labels and annotations are strings, as the API server has it', () => {
  const [problem] = validate(resourceOf({ name: '', whole: { metadata: { annotations: { note: true } } } }))
  assert.deepEqual(problem, {
    field: 'metadata.annotations.note',
    message: 'must be of type string, is boolean: put it in quotes',
  })
})

test('whatever passes validate compiles', () => {
  fc.assert(
    fc.property(changed, (document) => {
      if (validate(document).length === 0) assert.ok(Object.isFrozen(compilePipeline(parsePipeline(document))))
    }),
    { numRuns: 300 },
  )
})

test('every entry of the error catalogue has a remedy and parameters with plain names', () => {
  for (const { message, remedy } of Object.values(errorCatalogue)) {
    const named = [...message.matchAll(/\{(\w+)\}/g), ...remedy.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? '')
    assert.notEqual(remedy, '')
    assert.ok(
      named.every((name) => /^[a-z]\w*$/.test(name)),
      `${message} ${remedy}`,
    )
  }
})
