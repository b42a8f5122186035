/** Names and labels of what belongs to a pipeline. */
import type { OwnerReference } from '../kubernetes/objects.ts'
import { pipelineType } from './kinds.ts'

/** By this label children and pods are found; pod names can be cut short, so they are never parsed. */
export const nameLabel = 'streampipeline.dev/name'
/** On the pod template: HMAC of configuration and referred contents. A change of it rolls the pods. */
export const configAnnotation = 'streampipeline.dev/config'
/** `disabled`: children are left as they are, for emergency patches. */
export const reconcileAnnotation = 'streampipeline.dev/reconcile'

/** On a pipeline: how many lost entries a person knows of. DataIntact is False, and an alert fires, only for more. */
export const acknowledgedAnnotation = 'streampipeline.dev/acknowledged-losses'

/** The Secret with the key of the HMAC in pod templates, in the operator's own namespace. */
export const signingSecretName = 'streampipeline-operator-signing'

export const consumerName = (pipeline: string): string => `${pipeline}-consumer`
export const dispatchName = (pipeline: string): string => `${pipeline}-dispatch`

export function selectorLabels(pipeline: string): Record<string, string> {
  return { [nameLabel]: pipeline }
}

export function childLabels(pipeline: string): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'streampipeline',
    'app.kubernetes.io/instance': pipeline,
    'app.kubernetes.io/component': 'consumer',
    'app.kubernetes.io/managed-by': 'streampipeline-operator',
    ...selectorLabels(pipeline),
  }
}

export function ownerReferenceOf(resource: {
  readonly metadata: { readonly name?: string; readonly uid?: string }
}): OwnerReference {
  return {
    apiVersion: pipelineType.apiVersion,
    kind: pipelineType.kind,
    name: resource.metadata.name ?? '',
    uid: resource.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  }
}

/** Lost entries that a person has acknowledged; 0 where the annotation is no number. */
export function acknowledgedLosses({
  metadata,
}: {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> }
}): number {
  const given = metadata.annotations?.[acknowledgedAnnotation] ?? ''
  return /^[0-9]{1,15}$/.test(given) ? Number(given) : 0
}

export function isPaused(object: { readonly metadata: { readonly annotations?: Readonly<Record<string, string>> } }): boolean {
  return object.metadata.annotations?.[reconcileAnnotation] === 'disabled'
}
