/** Checks of checkov that fail on purpose, over the rendered chart, a pipeline's objects and the Dockerfile. All others pass. */
export interface AcceptedCheck {
  readonly id: string
  readonly demand: string
  /** Where it fails. */
  readonly where: string
  readonly reason: string
}

export const acceptedChecks: readonly AcceptedCheck[] = [
  {
    id: 'CKV_K8S_8',
    demand: 'a liveness probe',
    where: 'the pod of `helm test`',
    reason: 'It runs for seconds and ends.',
  },
  {
    id: 'CKV_K8S_9',
    demand: 'a readiness probe',
    where: 'the pod of `helm test`',
    reason: 'No Service selects it.',
  },
  {
    id: 'CKV_K8S_11',
    demand: 'a CPU limit',
    where: 'every pod',
    reason:
      'A limit throttles a burst although the node has time left, and a throttled leader loses its Lease. `resources` sets one where a quota demands it.',
  },
  {
    id: 'CKV_K8S_15',
    demand: 'imagePullPolicy Always',
    where: 'every pod',
    reason: 'A version’s tag does not move, and with Always no pod starts while the registry is away.',
  },
  {
    id: 'CKV_K8S_38',
    demand: 'no token of the ServiceAccount',
    where: 'the operator',
    reason: 'The operator speaks to the API server. Consumers and the pod of `helm test` mount none.',
  },
  {
    id: 'CKV_K8S_40',
    demand: 'a user id of 10000 or more in the pod',
    where: 'every pod',
    reason: 'The images’ user is 65532, by number. OpenShift assigns one, and refuses a pod that names another.',
  },
  {
    id: 'CKV_K8S_43',
    demand: 'images by digest',
    where: 'every pod',
    reason: 'A digest is known once images are in your registry: `image.digest` and `consumerImage.digest`.',
  },
  {
    id: 'CKV_DOCKER_2',
    demand: 'HEALTHCHECK',
    where: 'Dockerfile',
    reason: 'Kubernetes ignores it and has probes.',
  },
  {
    id: 'CKV_DOCKER_7',
    demand: 'a tag other than latest in FROM',
    where: 'Dockerfile',
    reason: 'The base image is a build argument, which the check does not read.',
  },
]
