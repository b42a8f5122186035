/** The observed state of a reconcile, with the changes of a test. */
import { compilePipeline } from '../../api/compile.ts'
import { failure } from '../../api/errors.ts'
import { parsePipeline } from '../../api/validate.ts'
import { noLimits } from '../../operator/limits.ts'
import { ownerReferenceOf } from '../../operator/plan/names.ts'
import type { Observation, Observed, PipelineObject, ReadSpec } from '../../operator/plan/observed.ts'
import { decide } from '../../scaling/decide.ts'
import { scalingPolicy } from '../../scaling/policy.ts'
import { emptySample, type Sample } from '../../scaling/sample.ts'

export const nowMs = Date.UTC(2026, 10, 22, 16, 0, 0)

export const uid = '11111111-2222-3333-4444-555555555555'

export function pipelineObject(spec: Record<string, unknown> = {}, metadata: PipelineObject['metadata'] = {}): PipelineObject {
  return {
    apiVersion: 'streampipeline.dev/v1alpha1',
    kind: 'StreamPipeline',
    metadata: { name: 'ndvi', namespace: 'farm', uid, generation: 3, ...metadata },
    spec: {
      redis: { url: 'redis://redis:6379/0' },
      source: { stream: 'ndvi:jobs', group: 'ndvi' },
      sink: { bullmq: { queue: 'ndvi' } },
      ...spec,
    },
  }
}

export function read(object: PipelineObject): Extract<ReadSpec, { kind: 'Sound' }> {
  const resource = parsePipeline(object)
  return { kind: 'Sound', resource, pipeline: compilePipeline(resource) }
}

export function sample(more: Partial<Sample> = {}): Sample {
  return { ...emptySample(nowMs), groupExists: true, ...more }
}

/** An observation and decision of the operator. */
export function seen(object: PipelineObject, more: Partial<Sample> = {}, quietSinceMs?: number): Observation {
  const { pipeline } = read(object)
  const taken = sample(more)
  const decision = decide(undefined, taken, scalingPolicy(pipeline, 1))
  return {
    kind: 'Seen',
    generation: pipeline.generation,
    sample: taken,
    vanished: [],
    decision,
    ...(quietSinceMs === undefined ? {} : { quietSinceMs }),
  }
}

export function failedLook(object: PipelineObject): Observation {
  const { pipeline } = read(object)
  const error = failure('RedisUnreachable', { address: 'redis:6379', detail: 'connect ECONNREFUSED' })
  return {
    kind: 'Failed',
    generation: pipeline.generation,
    error,
    decision: decide(undefined, undefined, scalingPolicy(pipeline, 2)),
  }
}

export function deploymentObject(replicas: number, ready: number): NonNullable<Observed['deployment']> {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'ndvi-consumer', namespace: 'farm', uid: 'd', ownerReferences: [ownerReferenceOf(pipelineObject())] },
    spec: { replicas },
    status: { replicas, readyReplicas: ready, updatedReplicas: replicas, availableReplicas: ready },
  }
}

export function observed(object: PipelineObject, more: Partial<Observed> = {}): Observed {
  return {
    object,
    spec: read(object),
    settings: {
      consumerImage: 'consumer:1',
      networkPolicy: false,
      podMonitor: false,
      limits: noLimits,
      manyTeams: false,
      referencesEveryMs: 30_000,
      observeEveryMs: 5_000,
      numbersEveryMs: 10_000,
      retryEveryMs: 5_000,
      quietMs: 120_000,
      signingKey: Buffer.alloc(32, 7),
    },
    deployment: deploymentObject(1, 1),
    dispatch: undefined,
    children: [],
    pods: [],
    references: [],
    observation: seen(object),
    failures: [],
    ...more,
  }
}
