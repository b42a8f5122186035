/**
 * GKE Autopilot rewrites Deployments and pods as they are written: requests are raised to a minimum, limits are made equal to them,
 * ephemeral storage is added, and an annotation says so. It refuses host access, and the classes `system-*` outside kube-system.
 * https://cloud.google.com/kubernetes-engine/docs/concepts/autopilot-resource-requests
 */
import { mutating, on, validating } from './admission.ts'

export const autopilot = 'autopilot'
const namespaces = on(autopilot)
const annotation = 'autopilot.gke.io/resource-adjustment'

/** A quarter of a processor and as many GiB are the least that a container gets. */
const containers = (spec: string, path: string) => `${spec}.containers.map(c, ${path}.containers{
    name: c.name,
    resources: ${path}.containers.resources{
      requests: {"cpu": "250m", "memory": "256Mi", "ephemeral-storage": "1Gi"},
      limits: {"cpu": "250m", "memory": "256Mi", "ephemeral-storage": "1Gi"}
    }
  })`

const onDeployments = `Object{
  metadata: Object.metadata{annotations: {"${annotation}": "{}", "autopilot.gke.io/warden-version": "3.1.24"}},
  spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{
    containers: ${containers('object.spec.template.spec', 'Object.spec.template.spec')}
  }}}
}`
const onPods = `Object{spec: Object.spec{containers: ${containers('object.spec', 'Object.spec')}}}`

const tolerating = `[JSONPatch{op: "add", path: "/spec/template/spec/tolerations", value:
  object.spec.template.spec.?tolerations.orValue([]).filter(t, t.?key.orValue("") != "kubernetes.io/arch") +
  [Object.spec.template.spec.tolerations{key: "kubernetes.io/arch", operator: "Equal", value: "amd64", effect: "NoSchedule"}]}]`

const refused = [
  {
    expression:
      '!object.spec.?priorityClassName.orValue("").startsWith("system-") || namespaceObject.metadata.name == "kube-system"',
    message: 'system priority classes are for kube-system',
  },
  { expression: '!object.spec.?hostNetwork.orValue(false)', message: 'hostNetwork is not allowed' },
  {
    expression: 'object.spec.?volumes.orValue([]).all(v, !has(v.hostPath))',
    message: 'hostPath volumes are not allowed',
  },
]

const writes = ['CREATE', 'UPDATE'] as const

export const autopilotRules: readonly object[] = [
  ...mutating(
    { name: 'autopilot-deployments', apiGroups: ['apps'], resources: ['deployments'], operations: writes, namespaces },
    [onDeployments, tolerating],
  ),
  ...mutating({ name: 'autopilot-pods', apiGroups: [''], resources: ['pods'], operations: ['CREATE'], namespaces }, [onPods]),
  ...validating({ name: 'autopilot', apiGroups: [''], resources: ['pods'], operations: ['CREATE'], namespaces }, refused),
]
