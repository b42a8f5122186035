/** Every kind of object the operator deals with, and under which field managers it writes. */
import type { ResourceType } from '../kubernetes/objects.ts'

export const pipelineType: ResourceType = {
  apiVersion: 'streampipeline.dev/v1alpha1',
  kind: 'StreamPipeline',
  plural: 'streampipelines',
}
export const deploymentType: ResourceType = { apiVersion: 'apps/v1', kind: 'Deployment', plural: 'deployments' }
export const configMapType: ResourceType = { apiVersion: 'v1', kind: 'ConfigMap', plural: 'configmaps' }
export const secretType: ResourceType = { apiVersion: 'v1', kind: 'Secret', plural: 'secrets' }
export const podType: ResourceType = { apiVersion: 'v1', kind: 'Pod', plural: 'pods' }
export const eventType: ResourceType = { apiVersion: 'v1', kind: 'Event', plural: 'events' }
export const serviceAccountType: ResourceType = { apiVersion: 'v1', kind: 'ServiceAccount', plural: 'serviceaccounts' }
export const disruptionBudgetType: ResourceType = {
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  plural: 'poddisruptionbudgets',
}
export const networkPolicyType: ResourceType = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  plural: 'networkpolicies',
}
export const podMonitorType: ResourceType = { apiVersion: 'monitoring.coreos.com/v1', kind: 'PodMonitor', plural: 'podmonitors' }

/** Owns everything in the children but the number of replicas. */
export const mainManager = 'streampipeline'
/** Owns `spec.replicas` of the Deployment, so that handing scaling over never disturbs the rest. */
export const scalerManager = 'streampipeline-scaler'
/** Owns the resource's status. */
export const statusManager = 'streampipeline-status'
