/** The objects a pipeline should have, whole. */

import type { CompiledPipeline, RedisTarget } from '../../api/compiled.ts'
import { dispatchConfigOf, dispatchVariable } from '../../redis/dispatchconfig.ts'
import type { KubernetesObject, ResourceType } from '../kubernetes/objects.ts'
import { disruptionBudget, networkPolicy, podMonitor, serviceAccount } from './companions.ts'
import { consumerConfig, signature } from './consumerconfig.ts'
import { deployment } from './deployment.ts'
import {
  configMapType,
  deploymentType,
  disruptionBudgetType,
  networkPolicyType,
  podMonitorType,
  serviceAccountType,
} from './kinds.ts'
import { childLabels, consumerName, dispatchName, ownerReferenceOf } from './names.ts'
import type { Observed, ReadSpec, ReferenceState } from './observed.ts'
import { referenceId } from './references.ts'

export interface DesiredChild {
  readonly type: ResourceType
  readonly object: KubernetesObject
}

/** Kinds whose objects may have to go again when a flag or a field changes. */
export const prunedTypes: readonly ResourceType[] = [networkPolicyType, podMonitorType, serviceAccountType]

/**
 * @param mode what producers are told
 * A pipeline whose references are not all there gets no Deployment: its pods could not mount them. What runs is left running. While a
 * reference cannot be read its policy is left as it is, too: the ports it allows may be in there.
 */
export function desiredChildren(
  observed: Observed,
  { resource, pipeline }: Extract<ReadSpec, { kind: 'Sound' }>,
  mode: 'Stream' | 'Direct',
): readonly DesiredChild[] {
  const { settings } = observed
  const name = pipeline.name
  const metadata = (childName: string): KubernetesObject['metadata'] => ({
    name: childName,
    namespace: pipeline.namespace,
    labels: childLabels(name),
    ownerReferences: [ownerReferenceOf(observed.object)],
  })
  const forConsumer = metadata(consumerName(name))
  const config = consumerConfig(resource)
  const children: DesiredChild[] = [
    configMap(metadata(dispatchName(name)), { [dispatchVariable]: JSON.stringify(dispatchConfigOf(pipeline, mode)) }),
    { type: disruptionBudgetType, object: disruptionBudget(name, forConsumer) },
  ]
  if (!resource.spec.consumer.serviceAccountName) children.push({ type: serviceAccountType, object: serviceAccount(forConsumer) })
  if (settings.networkPolicy && observed.references.every(({ kind }) => kind !== 'Unknown'))
    children.push({
      type: networkPolicyType,
      object: networkPolicy(name, forConsumer, redisPorts(pipeline, observed.references)),
    })
  // Its definition may be missing altogether, which is told (conditions.ts) and keeps nothing else from running.
  const isServed = observed.dark?.every(({ kind, known }) => known || kind !== podMonitorType.kind) !== false
  if (settings.podMonitor && isServed) children.push({ type: podMonitorType, object: podMonitor(name, forConsumer) })
  const referred = found(observed.references)
  if (referred !== undefined) {
    const input = {
      name,
      consumer: resource.spec.consumer,
      defaultImage: settings.consumerImage,
      references: observed.references.map(({ reference }) => reference),
      signature: signature(settings.signingKey, config, referred),
    }
    children.push(configMap(forConsumer, { 'pipeline.yaml': config }))
    children.push({ type: deploymentType, object: deployment(input, forConsumer) })
  }
  return children
}

function configMap(metadata: KubernetesObject['metadata'], data: Record<string, string>): DesiredChild {
  return {
    type: configMapType,
    object: { apiVersion: configMapType.apiVersion, kind: configMapType.kind, metadata, data } as KubernetesObject,
  }
}

/** Ports that consumers connect to; undefined where the spec and its Secrets do not tell. */
function redisPorts({ redis, sink }: CompiledPipeline, references: readonly ReferenceState[]): number[] | undefined {
  const ports = [redis, ...(sink.redis === undefined ? [] : [sink.redis])].map((target) => portOf(target, references))
  if (ports.some((port) => port === undefined)) return undefined
  return [...new Set(ports as number[])].toSorted((a, b) => a - b)
}

function portOf(target: RedisTarget, references: readonly ReferenceState[]): number | undefined {
  if (target.kind === 'Sentinel' || target.kind === 'Cluster') return undefined
  const { from } = target.kind === 'UrlFrom' ? target : {}
  const state = from && references.find(({ reference }) => referenceId(reference) === referenceId(from))
  const text = target.kind === 'Url' ? target.url : state?.kind === 'Found' ? state.value.trim() : ''
  return URL.canParse(text) ? Number(new URL(text).port || 6379) : undefined
}

/** Undefined when one is not there, or cannot be read. */
function found(references: readonly ReferenceState[]): (readonly [string, string])[] | undefined {
  const values: (readonly [string, string])[] = []
  for (const state of references) {
    if (state.kind !== 'Found') return undefined
    values.push([referenceId(state.reference), state.value])
  }
  return values
}
