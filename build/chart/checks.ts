/** Checks of checkov that fail on purpose, over the rendered chart, a pipeline's objects and the Dockerfile. All others pass. */
interface AcceptedCheck {
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
    reason: 'The pod ends after some seconds.',
  },
  {
    id: 'CKV_K8S_9',
    demand: 'a readiness probe',
    where: 'the pod of `helm test`',
    reason: 'No Service selects the pod.',
  },
  {
    id: 'CKV_K8S_11',
    demand: 'a CPU limit',
    where: 'every pod',
    reason:
      'A limit throttles a burst even if the node has free CPU time, and a throttled leader loses its Lease. If a quota demands a limit, set it by `resources`.',
  },
  {
    id: 'CKV_K8S_15',
    demand: 'imagePullPolicy Always',
    where: 'every pod',
    reason: 'The tag of a version never changes. With Always, no pod starts while the registry is unreachable.',
  },
  {
    id: 'CKV_K8S_38',
    demand: 'no token of the ServiceAccount',
    where: 'the operator',
    reason: 'The operator calls the API server. Consumers and the pod of `helm test` mount no token.',
  },
  {
    id: 'CKV_K8S_40',
    demand: 'a user id of 10000 or more in the pod',
    where: 'every pod',
    reason: 'The images set the user 65532, by number. OpenShift assigns a user, and refuses a pod that sets another one.',
  },
  {
    id: 'CKV_K8S_43',
    demand: 'images by digest',
    where: 'every pod',
    reason: 'The digest is known only once the images are in your registry. Set it by `image.digest` and `consumerImage.digest`.',
  },
  {
    id: 'CKV_DOCKER_2',
    demand: 'HEALTHCHECK',
    where: 'Dockerfile',
    reason: 'Kubernetes ignores HEALTHCHECK and uses probes.',
  },
  {
    id: 'CKV_DOCKER_7',
    demand: 'a tag other than latest in FROM',
    where: 'Dockerfile',
    reason: 'The base image is a build argument, which the check does not read.',
  },
]
