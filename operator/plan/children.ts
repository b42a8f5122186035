/** The objects a pipeline should have, whole. */

import type { CompiledPipeline, RedisTarget } from '../../api/compiled.ts'
import { promiseFile } from '../../api/files.ts'
import { dispatchConfigOf, dispatchVariable } from '../../redis/dispatchconfig.ts'
import type { KubernetesObject, ResourceType } from '../kubernetes/objects.ts'
import { isBare } from '../locality.ts'
import { consumerConfig, signature } from './consumerconfig.ts'
import { type DefaultedConsumer, withConsumerDefaults } from './consumerdefaults.ts'
import { deployment } from './deployment.ts'
import { disruptionBudget } from './disruptionbudget.ts'
import {
  configMapType,
  deploymentType,
  disruptionBudgetType,
  networkPolicyType,
  podMonitorType,
  serviceAccountType,
} from './kinds.ts'
import { childLabels, consumerName, dispatchName, ownerReferenceOf } from './names.ts'
import { networkPolicy, type RedisPeers } from './networkpolicy.ts'
import type { Observed, OperatorSettings, PipelineObject, ReadSpec, ReferenceState } from './observed.ts'
import { podMonitor } from './podmonitor.ts'
import { referenceId } from './references.ts'
import { serviceAccount } from './serviceaccount.ts'

export interface DesiredChild {
  readonly type: ResourceType
  readonly object: KubernetesObject
}

/** Kinds whose objects may have to go again when a flag or a field changes. */
export const prunedTypes: readonly ResourceType[] = [networkPolicyType, podMonitorType, serviceAccountType]

/**
 * The objects that a pipeline should have. Without all its references a pipeline gets no Deployment: its pods could not mount them. A
 * running Deployment stays. While a reference cannot be read, the NetworkPolicy stays as it is, too: the reference may hold the port.
 * @param mode published to producers
 */
export function desiredChildren(
  observed: Observed,
  { resource, pipeline }: Extract<ReadSpec, { kind: 'Sound' }>,
  mode: 'Stream' | 'Direct',
): readonly DesiredChild[] {
  const { settings } = observed
  const name = pipeline.name
  const consumer = withConsumerDefaults(resource.spec.consumer, statedFields(observed.object), settings.consumerDefaults, name)
  const metadata = (childName: string): KubernetesObject['metadata'] => ({
    name: childName,
    namespace: pipeline.namespace,
    ...commonMetadata(consumer, name),
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
      object: networkPolicy(name, forConsumer, redisPeers(pipeline, observed.references, settings)),
    })
  // The definition of PodMonitor may be missing. A condition reports that (reconciled.ts), and all other objects are applied.
  const isServed = observed.dark?.every(({ kind, known }) => known || kind !== podMonitorType.kind) !== false
  if (settings.podMonitor && isServed)
    children.push({ type: podMonitorType, object: podMonitor(name, forConsumer, settings.podMonitorForm) })
  const referred = found(observed.references)
  if (referred !== undefined) {
    const input = {
      name,
      consumer,
      defaultImage: settings.consumerImage,
      references: observed.references.map(({ reference }) => reference),
      signature: signature(settings.signingKey, config, referred),
    }
    const promise = JSON.stringify({ targetAgeMs: pipeline.scaling.targetAgeMs })
    children.push(configMap(forConsumer, { 'pipeline.yaml': config, [promiseFile]: promise }))
    children.push({ type: deploymentType, object: deployment(input, forConsumer) })
  }
  return children
}

/** Fields of `spec.consumer` that the pipeline's author wrote: an empty one replaces the operator's default, too. */
function statedFields({ spec }: PipelineObject): ReadonlySet<string> {
  const { consumer } = (spec ?? {}) as { readonly consumer?: object | null }
  return new Set(Object.entries(consumer ?? {}).flatMap(([name, value]) => (value === null ? [] : [name])))
}

/** Our own labels win: by them the objects are found. */
function commonMetadata(
  { commonLabels, commonAnnotations }: DefaultedConsumer,
  pipeline: string,
): Pick<KubernetesObject['metadata'], 'labels' | 'annotations'> {
  const annotations = Object.keys(commonAnnotations).length === 0 ? {} : { annotations: commonAnnotations }
  return { labels: { ...commonLabels, ...childLabels(pipeline) }, ...annotations }
}

function configMap(metadata: KubernetesObject['metadata'], data: Record<string, string>): DesiredChild {
  return {
    type: configMapType,
    object: { apiVersion: configMapType.apiVersion, kind: configMapType.kind, metadata, data } as KubernetesObject,
  }
}

/** The networks and further ports of Redis are as the administrator gave them. */
function redisPeers(
  { redis, sink, namespace }: CompiledPipeline,
  references: readonly ReferenceState[],
  { networkPolicyRedis: networks, networkPolicyPorts = [] }: OperatorSettings,
): RedisPeers {
  const targets = [redis, ...(sink.redis === undefined ? [] : [sink.redis])]
  const ports = targets.map((target) => portOf(target, references))
  const known = ports.filter((port) => port !== undefined)
  return {
    ports: known.length === ports.length ? [...new Set([...known, ...networkPolicyPorts])].toSorted((a, b) => a - b) : undefined,
    to:
      networks &&
      placesOf(
        targets.flatMap((target) => hostsOf(target, references)),
        namespace,
        networks,
      ),
  }
}

/** The namespaces of the Services named, and the administrator's networks. */
function placesOf(hosts: readonly string[], namespace: string, networks: readonly string[]): readonly object[] {
  const namespaces = hosts.flatMap((host) => {
    if (isBare(host)) return [namespace]
    return /^[^.]+\.([^.]+)\.svc([.]|$)/.exec(host)?.[1] ?? []
  })
  return [
    ...[...new Set(namespaces)].toSorted().map((name) => ({
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } },
    })),
    ...networks.map((cidr) => ({ ipBlock: { cidr } })),
  ]
}

function urlOf(target: RedisTarget, references: readonly ReferenceState[]): URL | undefined {
  if (target.kind === 'Sentinel' || target.kind === 'Cluster') return undefined
  const { from } = target.kind === 'UrlFrom' ? target : {}
  const state = from && references.find(({ reference }) => referenceId(reference) === referenceId(from))
  const text = target.kind === 'Url' ? target.url : state?.kind === 'Found' ? state.value.trim() : ''
  return URL.canParse(text) ? new URL(text) : undefined
}

function portOf(target: RedisTarget, references: readonly ReferenceState[]): number | undefined {
  const url = urlOf(target, references)
  return url && Number(url.port || 6379)
}

function hostsOf(target: RedisTarget, references: readonly ReferenceState[]): readonly string[] {
  if (target.kind === 'Sentinel' || target.kind === 'Cluster') return target.nodes.map(({ host }) => host)
  return [urlOf(target, references)?.hostname ?? '']
}

/** Undefined if a reference is absent or cannot be read. */
function found(references: readonly ReferenceState[]): (readonly [string, string])[] | undefined {
  const values: (readonly [string, string])[] = []
  for (const state of references) {
    if (state.kind !== 'Found') return undefined
    values.push([referenceId(state.reference), state.value])
  }
  return values
}
