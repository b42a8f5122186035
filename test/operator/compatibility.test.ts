/** The served schema is compared with the operator's own: readiness, conditions and an Event report an older one. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crd } from '../../api/crd.ts'
import { missingFields } from '../../operator/compatibility.ts'
import * as kinds from '../../operator/plan/kinds.ts'
import { needsApiServer } from '../support/apiserver.ts'
import { startRedis } from '../support/redis.ts'
import { eventually } from '../support/wait.ts'
import { borrowCluster, conditionOf, type Loose, minimalPipeline, startOperator } from './cluster.ts'

const slow = { timeoutMs: 60_000 }

test('fields that are missing are named by their outermost path', () => {
  const ours = { properties: { a: { properties: { b: {}, c: { items: { properties: { d: {} } } } } }, e: {} } }
  assert.deepEqual(missingFields(ours, ours), [])
  assert.deepEqual(missingFields(ours, { properties: { a: { properties: { c: { items: {} } } } } }), ['a.b', 'a.c[].d', 'e'])
  assert.deepEqual(missingFields(ours, { properties: { a: {}, e: {}, later: {} } }), ['a.b', 'a.c'])
})

test(
  'with an older CustomResourceDefinition the operator is not ready, reports that in describe, and recovers after its replacement',
  needsApiServer,
  async (t) => {
    const [cluster, redis] = await Promise.all([borrowCluster(t), startRedis(t)])
    const whole = crd() as unknown as { spec: { versions: { schema: { openAPIV3Schema: Tree } }[] } }
    const old = structuredClone(whole)
    const spec = old.spec.versions[0]?.schema.openAPIV3Schema.properties?.['spec']
    delete spec?.properties?.['suspend']
    await replace(old)
    const operator = await startOperator(t, cluster, { schemaEveryMs: 2_000 })
    const { health } = await operator.ports
    const readiness = () => fetch(`http://127.0.0.1:${health}/readyz`, { headers: { connection: 'close' } })
    await cluster.apply(minimalPipeline('dated', 'default', { redis: { url: redis.url } }))
    const reaches = (reason: string) =>
      eventually(async () => {
        const reported = conditionOf(await cluster.get<Loose>(kinds.pipelineType, 'default', 'dated'), 'Reconciled')
        assert.equal(reported?.reason, reason)
        return reported.message
      }, slow)
    assert.match(await reaches('SchemaOutdated'), /lacks spec\.suspend.*streampipeline crd/)
    await eventually(async () => {
      const answer = await readiness()
      assert.match(await answer.text(), /older than this operator and lacks spec\.suspend/)
      assert.equal(answer.status, 503)
    }, slow)
    await eventually(async () => {
      const { stdout } = await cluster.server.kubectl(['describe', 'streampipeline', 'dated'])
      assert.match(stdout, /Warning +SchemaOutdated/)
    }, slow)
    await replace(whole)
    await reaches('ObjectsApplied')
    await eventually(async () => assert.equal((await readiness()).status, 200), slow)

    async function replace(definition: unknown): Promise<void> {
      const { code, stderr } = await cluster.server.kubectl(
        ['apply', '--server-side', '--force-conflicts', '-f', '-'],
        JSON.stringify(definition),
      )
      assert.equal(code, 0, stderr)
    }
  },
)

interface Tree {
  readonly properties?: Record<string, Tree>
}
