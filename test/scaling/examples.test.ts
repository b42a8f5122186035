import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Registry } from 'prom-client'
import { parse } from 'yaml'
import { group, kind, version } from '../../api/schema/pipeline.ts'
import { createPipelineMetrics } from '../../operator/metrics/pipelines.ts'
import { needsApiServer, startApiServer } from '../support/apiserver.ts'
import { projectRoot } from '../support/root.ts'

const fileOf = (name: string) => join(projectRoot, 'examples', 'scaling', name)
const read = async (name: string) => parse(await readFile(fileOf(name), 'utf8'))

const target = { apiVersion: `${group}/${version}`, kind, name: 'ndvi' }
const metric = 'streampipeline_recommended_replicas'

describe('the examples of others that obey the recommendation', () => {
  it('name a metric that the operator serves', () => {
    const registry = new Registry()
    createPipelineMetrics(registry)
    assert.ok(registry.getSingleMetric(metric) !== undefined)
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
    assert.ok(metadata.query.includes(`${metric}{namespace="default", name="ndvi"}`))
    assert.equal(spec.minReplicaCount, 0)
    // KEDA reads every value of a trigger's metadata as text.
    for (const value of Object.values(metadata)) assert.equal(typeof value, 'string')
  })

  it('an API server takes the HorizontalPodAutoscaler', needsApiServer, async (t) => {
    const server = await startApiServer(t)
    const applied = await server.kubectl([
      'apply',
      '--dry-run=server',
      '--validate=strict',
      '-f',
      fileOf('horizontalpodautoscaler.yaml'),
    ])
    assert.equal(applied.code, 0, applied.stderr)
  })
})
