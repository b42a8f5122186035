/** Status of the Deployment controller for consumers that may not be made, or for a rollout that is held. */
import { plain, type StatusFault } from './statusfault.ts'

const refusals = [
  'pods "x" is forbidden: exceeded quota: tight, requested: pods=1, used: pods=2, limited: pods=2',
  'pods "x" is forbidden: maximum memory usage per Container is 128Mi, but limit is 256Mi',
  'pods "x" is forbidden: error looking up service account farm/nobody: serviceaccount "nobody" not found',
  'pods "x" is forbidden: no PriorityClass with name urgent was found',
  'pods "x" is forbidden: violates PodSecurity "restricted:latest": seccompProfile',
  'admission webhook "policy.example" denied the request: label team is missing',
  'Internal error occurred: failed calling webhook "policy.example": connection refused',
]
const failure = (message: string) => ({ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message })
const progressing = (status: string, reason: string, message = '') => ({ type: 'Progressing', status, reason, message })
export const deploymentFaults: readonly StatusFault[] = [
  ...refusals.map((message) => ({
    name: message,
    reason: 'PodsRefused',
    deployment: { status: { conditions: [failure(message)] } },
    reported: [
      /^(\d of \d consumers ready; )?Deployment ndvi-consumer: /,
      plain(message),
      /Raise the quota, or change spec\.consumer.*if an object is missing, create it/,
    ],
  })),
  {
    name: 'a paused Deployment',
    reason: 'RolloutPaused',
    deployment: {
      spec: { paused: true },
      status: { updatedReplicas: 0, conditions: [progressing('Unknown', 'DeploymentPaused')] },
    },
    reported: [/spec\.paused of the Deployment is true/, /kubectl rollout resume -n farm deployment\/ndvi-consumer/],
  },
  {
    name: 'a Deployment that was paused after its deadline',
    reason: 'RolloutPaused',
    deployment: {
      spec: { paused: true },
      status: {
        updatedReplicas: 0,
        conditions: [progressing('False', 'ProgressDeadlineExceeded', 'x has timed out progressing.')],
      },
    },
    reported: [/spec\.paused of the Deployment is true; x has timed out progressing/, /kubectl rollout resume -n farm/],
  },
]
