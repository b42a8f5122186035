/**
 * OpenShift's security context constraint `restricted-v2`: each namespace has a range of users and groups. A pod that names no user gets
 * the first of the range; one that names another, or asks for a privilege or a volume that is not listed, is refused.
 * https://docs.openshift.com/container-platform/latest/authentication/managing-security-context-constraints.html
 */
import { mutating, on, platformLabel, validating } from './admission.ts'

const platform = 'openshift'
const pods = {
  apiGroups: [''],
  resources: ['pods'],
  operations: ['CREATE'],
  namespaces: on(platform),
} as const

/** As OpenShift assigns them: `FIRST/COUNT`. */
export const firstUid = 1_000_680_000
const count = 10_000
export const isAssigned = (uid: number): boolean => uid >= firstUid && uid < firstUid + count

export const openShiftNamespace = (name: string): object => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: {
    name,
    labels: { [platformLabel]: platform, 'pod-security.kubernetes.io/enforce': 'restricted' },
    annotations: {
      'openshift.io/sa.scc.uid-range': `${firstUid}/${count}`,
      'openshift.io/sa.scc.supplemental-groups': `${firstUid}/${count}`,
      'openshift.io/sa.scc.mcs': 's0:c26,c5',
    },
  },
})

const range = (name: string) => `namespaceObject.metadata.annotations['openshift.io/sa.scc.${name}'].split('/')`

const assigning = `Object{spec: Object.spec{
  securityContext: Object.spec.securityContext{fsGroup: int(${range('supplemental-groups')}[0])},
  containers: object.spec.containers.map(c, Object.spec.containers{
    name: c.name,
    securityContext: Object.spec.containers.securityContext{
      runAsUser: c.?securityContext.?runAsUser.orValue(int(${range('uid-range')}[0]))
    }
  })
}}`

const volumes = ['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'persistentVolumeClaim', 'projected', 'secret']

const restrictions = [
  {
    expression:
      '(variables.ids + variables.own).all(id, !id.hasValue() || (id.value() >= variables.first && id.value() < variables.first + variables.count))',
    message: 'must be in the ranges of the namespace',
  },
  {
    expression:
      'variables.containers.all(c, c.?securityContext.?allowPrivilegeEscalation.orValue(true) == false && c.?securityContext.?capabilities.?drop.orValue([]) == ["ALL"])',
    message: 'privileges are not allowed',
  },
  {
    expression: `object.spec.?volumes.orValue([]).all(v, ${JSON.stringify(volumes)}.exists(k, k in v))`,
    message: 'this type of volume is not allowed',
  },
  {
    expression: '!object.spec.?hostNetwork.orValue(false) && !object.spec.?hostPID.orValue(false)',
    message: 'the host is not allowed',
  },
]

const variables = [
  { name: 'first', expression: `int(${range('uid-range')}[0])` },
  { name: 'count', expression: `int(${range('uid-range')}[1])` },
  { name: 'containers', expression: 'object.spec.containers + object.spec.?initContainers.orValue([])' },
  { name: 'pod', expression: 'object.spec.?securityContext.orValue({})' },
  { name: 'ids', expression: '[variables.pod.?runAsUser, variables.pod.?fsGroup]' },
  { name: 'own', expression: 'variables.containers.map(c, c.?securityContext.?runAsUser)' },
]

export const openShiftRefuses = validating({ ...pods, name: 'restricted-v2' }, restrictions, { variables })
export const openShiftAssigns = mutating({ ...pods, name: 'restricted-v2' }, [assigning])
