/** The limits: their form, and the verdict of the operator's own judge on each row of the table. */
import '../../../support/leaks.ts'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { compileLimits, type Limits, listLimits, noLimits } from '../../../../operator/limits.ts'
import { policyRefusal } from '../../../../operator/policy/verdict.ts'
import { pipelineObject } from '../../../operator/builder.ts'
import { allowed, limits, refused, refusedLocally } from '../../../operator/tenancy/table.ts'
import { projectRoot } from '../../../support/root.ts'

const all: Limits = { ...limits, localRedis: false }
const object = (spec: Record<string, unknown>) => pipelineObject({ ...spec }, { namespace: 'farm' })

for (const { name, spec, limit, field } of refused) {
  test(`${name}: ${limit} refuses it, and nothing else does`, () => {
    const refusal = policyRefusal(object(spec), all)
    assert.equal(refusal?.code, 'PolicyRefused')
    assert.equal(refusal.parameters['field'], field)
    assert.match(refusal.parameters['limit'] ?? '', new RegExp(limit))
    const { [limit]: _, ...others } = all
    const without = { ...others, restrictedPods: limit !== 'restrictedPods' && all.restrictedPods, localRedis: true } as Limits
    const expected =
      limit === 'redisHosts' || limit === 'redisNetworks' || name === 'host-path' || name === 'second-volume' || name === 'nfs'
    if (!expected) assert.equal(policyRefusal(object(spec), without), undefined)
    assert.equal(policyRefusal(object(spec), noLimits), undefined)
  })
}

for (const { name, spec } of allowed) {
  test(`${name}: it is allowed`, () => assert.equal(policyRefusal(object(spec), all)?.message, undefined))
}

test('this host, its link and metadata services are no place for Redis, however they are written', () => {
  const only: Limits = { restrictedPods: false, localRedis: false }
  for (const host of refusedLocally) {
    const nodes = [`${host}:6379`]
    for (const redis of [{ url: `redis://${host}:6379/0` }, { cluster: { nodes } }, { sentinel: { master: 'm', nodes } }])
      assert.equal(policyRefusal(object({ redis }), only)?.code, 'PolicyRefused', host)
    assert.equal(policyRefusal(object({ redis: { url: `redis://${host}` } }), noLimits), undefined, host)
  }
  assert.equal(policyRefusal(object({ redis: { url: 'redis://redis:6379' } }), only), undefined)
})

test('an empty list allows nothing but the default', () => {
  const none: Limits = { ...noLimits, images: [], serviceAccounts: [], volumes: [], redisHosts: [] }
  assert.equal(
    policyRefusal(object({ consumer: { image: 'ghcr.io/acme/app' } }), none)?.parameters['field'],
    'spec.consumer.image',
  )
  assert.equal(policyRefusal(object({}), none)?.parameters['detail'], 'a host may be none')
  assert.equal(policyRefusal(object({}), { ...noLimits, images: [], volumes: [] }), undefined)
})

test('values of another type are refused, not passed over', () => {
  for (const consumer of [
    { volumes: [{ name: 'v', projected: { sources: 'x' } }] },
    { securityContext: { seccompProfile: 'Unconfined' } },
    { tolerations: ['x'] },
    { envFrom: ['secretRef'] },
  ])
    assert.equal(policyRefusal(object({ consumer }), all)?.code, 'PolicyRefused', JSON.stringify(consumer))
})

test('the signing Secret is for no one in the operator’s namespace, whatever names it', () => {
  const own: Limits = { ...noLimits, operatorNamespace: 'farm' }
  const name = 'streampipeline-operator-signing'
  const secretKeyRef = { name, key: 'key' }
  const from = { secretKeyRef }
  const url = 'rediss://redis:6379'
  const nodes = ['redis:26379']
  const specs = [
    { redis: { url, passwordFrom: from } },
    { redis: { url, usernameFrom: from } },
    { redis: { urlFrom: from } },
    { redis: { url, tls: { caFrom: from } } },
    { redis: { url, tls: { certFrom: from, keyFrom: { secretKeyRef: { name: 'x', key: 'y' } } } } },
    { redis: { url, tls: { certFrom: { secretKeyRef: { name: 'x', key: 'y' } }, keyFrom: from } } },
    { redis: { sentinel: { master: 'm', nodes, passwordFrom: from } } },
    { redis: { sentinel: { master: 'm', nodes, usernameFrom: from } } },
    { sink: { bullmq: { queue: 'q', redis: { url, passwordFrom: from } } } },
    { consumer: { env: [{ name: 'A', valueFrom: from }] } },
    { consumer: { envFrom: [{ secretRef: { name } }] } },
    { consumer: { imagePullSecrets: [{ name }] } },
    { consumer: { volumes: [{ name: 'v', secret: { secretName: name } }] } },
    { consumer: { volumes: [{ name: 'v', projected: { sources: [{ secret: { name } }] } }] } },
    { consumer: { volumes: [{ name: 'v', azureFile: { shareName: 's', secretName: name } }] } },
    { consumer: { volumes: [{ name: 'v', csi: { driver: 'd', nodePublishSecretRef: { name } } }] } },
    ...['cephfs', 'flexVolume', 'iscsi', 'rbd', 'scaleIO', 'storageos'].map((type) => ({
      consumer: {
        volumes: [
          { name: 'w', emptyDir: {} },
          { name: 'v', [type]: { secretRef: { name } } },
        ],
      },
    })),
  ]
  for (const spec of specs) {
    assert.equal(policyRefusal(object(spec), own)?.code, 'PolicyRefused', JSON.stringify(spec))
    const elsewhere = pipelineObject(spec, { namespace: 'mill' })
    assert.equal(policyRefusal(elsewhere, own), undefined, 'a Secret of that name in another namespace is another')
  }
  assert.equal(policyRefusal(object({}), own), undefined)
  const others = [
    { csi: { driver: 'd' } },
    { azureFile: { shareName: 's' } },
    { iscsi: { secretRef: {} } },
    { rbd: { secretRef: { name: 'x' } } },
  ]
  const volumes = others.map((volume, n) => ({ name: `v${n}`, ...volume }))
  assert.equal(policyRefusal(object({ consumer: { volumes } }), own), undefined)
})

test('flags are read, and what is no item of theirs is refused by name', () => {
  assert.deepEqual(compileLimits({ images: ' a/b , a/b,c', volumes: '' }, false), {
    images: ['a/b', 'c'],
    volumes: [],
    restrictedPods: false,
    localRedis: true,
  })
  assert.equal(compileLimits({}, true).localRedis, false, 'in a pod')
  assert.equal(compileLimits({ localRedis: 'allow' }, true).localRedis, true)
  assert.equal(compileLimits({ localRedis: 'refuse' }, false).localRedis, false)
  assert.deepEqual(compileLimits({ secretLabel: 'a.b/c=d' }, false).secretLabel, { key: 'a.b/c', value: 'd' })
  assert.deepEqual(compileLimits({ secretLabel: 'c' }, false).secretLabel, { key: 'c', value: undefined })
  for (const [options, flag] of [
    [{ images: 'a/' }, '--allow-images'],
    [{ images: 'a/../b' }, '--allow-images'],
    [{ images: 'a b' }, '--allow-images'],
    [{ volumes: 'host-path' }, '--allow-volumes'],
    [{ serviceAccounts: 'A' }, '--allow-service-accounts'],
    [{ redisHosts: '*' }, '--allow-redis-hosts'],
    [{ redisHosts: 'redis:6379' }, '--allow-redis-hosts'],
    [{ redisHosts: 'redis.*.svc' }, '--allow-redis-hosts'],
    [{ redisNetworks: '10.0.0.0' }, '--allow-redis-networks'],
    [{ redisNetworks: '10.0.0.0/33' }, '--allow-redis-networks'],
    [{ localRedis: 'yes' }, '--local-redis'],
    [{ secretLabel: 'a=b=c' }, '--secret-label'],
  ] as const)
    assert.throws(() => compileLimits(options, false), new RegExp(`^StreamPipelineError: ${flag}`), JSON.stringify(options))
})

test('docs/tenancy.md has a row for each limit', () => {
  const page = readFileSync(join(projectRoot, 'docs', 'tenancy.md'), 'utf8')
  for (const { value, flag } of listLimits) assert.ok(page.includes(`| \`${value}\` | \`${flag}\` |`), value)
})

test('a rule that cannot be evaluated refuses, and the error names the cause', () => {
  const odd = object({ consumer: { volumes: 7 } })
  const refusal = policyRefusal(odd, { ...noLimits, volumes: ['configMap'] })
  assert.equal(refusal?.code, 'PolicyRefused')
  assert.match(refusal.message, /the rule cannot be evaluated: \S/)
  assert.ok(refusal.cause instanceof Error)
  assert.doesNotMatch(refusal.message, /\\n/)
})
