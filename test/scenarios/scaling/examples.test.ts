import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Registry } from 'prom-client'
import { parse } from 'yaml'
import { group, kind, version } from '../../../api/schema/pipeline.ts'
import { createPipelineMetrics } from '../../../operator/metrics/pipelines.ts'
import { pipelineObject, seen } from '../../operator/builder.ts'
import { borrowApiServer, needsApiServer } from '../../support/apiserver.ts'
import { projectRoot } from '../../support/root.ts'
import { eventually } from '../../support/wait.ts'

const fileOf = (name: string) => join(projectRoot, 'examples', 'scaling', name)
const read = async (name: string) => parse(await readFile(fileOf(name), 'utf8'))

const target = { apiVersion: `${group}/${version}`, kind, name: 'ndvi' }
const metric = 'streampipeline_recommended_replicas'

describe('the examples of others that obey the recommendation', () => {
  it('name a metric that the operator serves', async () => {
    const metrics = createPipelineMetrics(new Registry())
    metrics.read(() => [
      { key: 'default/ndvi', pipeline: undefined, observation: seen(pipelineObject()), acknowledged: 0, status: undefined },
    ])
    assert.match(await metrics.text(), new RegExp(`^${metric}\\{namespace="default",pipeline="ndvi"\\} \\d`, 'm'))
  })

  it('the HorizontalPodAutoscaler takes the number as it is, for the pipeline itself', async () => {
    const { apiVersion, spec } = await read('horizontalpodautoscaler.yaml')
    assert.equal(apiVersion, 'autoscaling/v2')
    assert.deepEqual(spec.scaleTargetRef, target)
    const [{ type, external }] = spec.metrics
    assert.deepEqual(
      [type, external.metric.name, external.target],
      ['External', metric, { type: 'AverageValue', averageValue: '1' }],
    )
  })

  it('the ScaledObject does so, and may go to zero', async () => {
    const { apiVersion, kind: object, spec } = await read('scaledobject.yaml')
    assert.deepEqual([apiVersion, object], ['keda.sh/v1alpha1', 'ScaledObject'])
    assert.deepEqual(spec.scaleTargetRef, target)
    const [{ type, metricType, metadata }] = spec.triggers
    assert.deepEqual(
      [type, metricType, metadata.threshold, metadata.activationThreshold],
      ['prometheus', 'AverageValue', '1', '0'],
    )
    assert.ok(metadata.query.includes(`${metric}{namespace="default", pipeline="ndvi"}`))
    assert.equal(spec.minReplicaCount, 0)
    // KEDA reads every value of a trigger's metadata as text.
    for (const value of Object.values(metadata)) assert.equal(typeof value, 'string')
  })

  it(
    'an API server takes both, KEDA’s by its own CustomResourceDefinition, and refuses them misspelt',
    needsApiServer,
    async (t) => {
      const definition = join(projectRoot, 'test', 'scaling', 'fixture', 'scaledobjects.yaml')
      const server = await borrowApiServer(t)
      const defined = await server.kubectl(['apply', '--server-side', '-f', definition])
      assert.equal(defined.code, 0, defined.stderr)
      const established = await server.kubectl([
        'wait',
        '--for=condition=Established',
        'crd/scaledobjects.keda.sh',
        '--timeout=55s',
      ])
      assert.equal(established.code, 0, established.stderr)
      const apply = (text: string) => server.kubectl(['apply', '--dry-run=server', '--validate=strict', '-f', '-'], text)
      for (const [name, field, misspelt] of [
        ['horizontalpodautoscaler.yaml', 'averageValue', 'averagevalue'],
        ['scaledobject.yaml', 'pollingInterval', 'pollInterval'],
      ] as const) {
        const text = await readFile(fileOf(name), 'utf8')
        // Established is said before it is served and its schema known.
        await eventually(
          async () => {
            const applied = await apply(text)
            assert.equal(applied.code, 0, `${name}: ${applied.stderr}`)
          },
          { timeoutMs: 30_000, intervalMs: 100 },
        )
        const refused = await apply(text.replaceAll(field, misspelt))
        assert.match(refused.stderr, new RegExp(`unknown field.*${misspelt}`), name)
      }
    },
  )
})
