/** Containers and volumes that meshes and EKS add to pods at their creation. The Deployment does not show them. */
import { mutating, on } from './admission.ts'

export const mesh = 'mesh'
export const eks = 'eks'

const created = { apiGroups: [''], resources: ['pods'], operations: ['CREATE'] } as const

/**
 * Istio and Linkerd: a container beside ours, an init container before it, and an annotation. The sidecar comes first, as Istio's does with
 * `holdApplicationUntilProxyStarts`, so that ours is not the first of the pod.
 */
const sidecar = `[
  JSONPatch{op: "add", path: "/spec/containers/0", value: Object.spec.containers{
    name: "istio-proxy",
    image: "mesh.example/proxy:1",
    ports: [Object.spec.containers.ports{name: "http-envoy-prom", containerPort: 15090, protocol: "TCP"}],
    resources: Object.spec.containers.resources{requests: {"cpu": "10m"}, limits: {"memory": "1Gi"}}
  }},
  JSONPatch{op: "add", path: "/spec/initContainers", value: [Object.spec.initContainers{
    name: "istio-init", image: "mesh.example/proxy:1"
  }]},
  JSONPatch{op: "add", path: "/metadata/annotations/sidecar.istio.io~1status", value: "{}"}
]`

/** EKS pod identity: environment and a projected token for pods whose ServiceAccount names a role. */
const identity = `[
  JSONPatch{op: "add", path: "/spec/volumes/-", value: Object.spec.volumes{
    name: "aws-iam-token",
    projected: Object.spec.volumes.projected{sources: [Object.spec.volumes.projected.sources{
      serviceAccountToken: Object.spec.volumes.projected.sources.serviceAccountToken{
        audience: "sts.amazonaws.com", path: "token", expirationSeconds: 86400
      }
    }]}
  }},
  JSONPatch{op: "add", path: "/spec/containers/0/env/-", value: Object.spec.containers.env{
    name: "AWS_ROLE_ARN", value: "arn:aws:iam::1:role/queues"
  }},
  JSONPatch{op: "add", path: "/spec/containers/0/volumeMounts/-", value: Object.spec.containers.volumeMounts{
    name: "aws-iam-token", mountPath: "/var/run/secrets/eks.amazonaws.com/serviceaccount", readOnly: true
  }}
]`

export const meshRules = mutating({ ...created, name: mesh, namespaces: on(mesh) }, [sidecar])
export const eksRules = mutating({ ...created, name: eks, namespaces: on(eks) }, [identity])
