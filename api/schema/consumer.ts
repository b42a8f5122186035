/**
 * Overrides of the consumer's pod. Fields are Kubernetes' own. Deep inner parts are passed on as written. The API server checks
 * them when the operator applies the Deployment, and the condition Reconciled shows its refusal.
 */
import { z } from 'zod'
import { guarded } from './rules.ts'
import { amount, count, optionalObjectName, text } from './scalars.ts'

const opaque = { 'x-kubernetes-preserve-unknown-fields': true } as const
const deep = () => z.looseObject({}).meta(opaque)
const listBy = (key: string) => ({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] }) as const
const atomic = { 'x-kubernetes-list-type': 'atomic' } as const

const ownKeys = {
  rule: "!self.exists(k, k.startsWith('streampipeline.dev/'))",
  message: "keys under streampipeline.dev/ are the operator's own: choose another prefix",
  reason: 'FieldValueInvalid',
} as const

const strings = (maximum: number) => z.record(z.string(), z.string().max(maximum)).meta({ maxProperties: 64 })

/** CPU and memory of a consumer for which neither the pipeline nor the operator's defaults state any. */
export const standardResources = { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '256Mi' } } as const

/** Kubernetes before 1.32 takes each amount for a text of 3 MiB, and refuses a definition with a rule over more than 15 amounts. */
const amounts = z.record(z.string(), amount()).meta({ maxProperties: 15 })

export const consumerSchema = z.strictObject({
  image: z.string().max(1024).optional().describe("Image of the consumers. Omitted or empty: the operator's `--consumer-image`."),
  imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).default('IfNotPresent').describe('When a node pulls the image.'),
  imagePullSecrets: z
    .array(z.strictObject({ name: text(253).describe('Name of the Secret.') }))
    .max(16)
    .meta(listBy('name'))
    .default([])
    .describe('Secrets with the credentials for the image registry.'),
  env: z
    .array(
      z.strictObject({
        name: text(253).describe('Name of the variable.'),
        value: z.string().max(32_768).optional().describe('Value of the variable.'),
        valueFrom: deep().optional().describe("Source of the value, as in a pod's container."),
      }),
    )
    .max(128)
    .meta(listBy('name'))
    .default([])
    .describe('More environment variables.'),
  envFrom: z
    .array(deep())
    .max(32)
    .meta(atomic)
    .default([])
    .describe("Sources of environment variables, as in a pod's container."),
  labels: guarded(strings(63), ownKeys)
    .default({})
    .describe("More labels of the pods. The operator's own labels take precedence."),
  annotations: guarded(strings(8192), ownKeys)
    .default({})
    .describe("More annotations of the pods. The operator's own annotations take precedence."),
  commonLabels: guarded(strings(63), ownKeys)
    .default({})
    .describe(
      "More labels of the objects that the operator makes. Pods do not get them, so a change restarts no consumer. The operator's own labels take precedence.",
    ),
  commonAnnotations: guarded(strings(8192), ownKeys)
    .default({})
    .describe('More annotations of the objects that the operator makes. Pods do not get them, so a change restarts no consumer.'),
  volumes: z
    .array(z.looseObject({ name: text(63).describe('Name of the volume.') }).meta(opaque))
    .max(32)
    .meta(listBy('name'))
    .default([])
    .describe('More volumes, as in a pod.'),
  volumeMounts: z
    .array(
      z
        .looseObject({
          name: text(63).describe('Name of the volume.'),
          mountPath: text(1024).describe('Path of the volume in the container.'),
        })
        .meta(opaque),
    )
    .max(32)
    .meta(listBy('mountPath'))
    .default([])
    .describe("Mounts of volumes, as in a pod's container."),
  resources: z
    .strictObject({
      requests: amounts.optional().describe('Amounts that the scheduler reserves.'),
      limits: amounts.optional().describe('Amounts that the container may not exceed.'),
    })
    .optional()
    .describe(
      "CPU and memory. Omitted: the chart's `consumerDefaults.resources`. Without those: requests of 100m and 128Mi, and a memory limit of 256Mi.",
    ),
  securityContext: deep()
    .optional()
    .describe(
      "Security context of the pod. Its fields override the defaults `runAsNonRoot: true` and `seccompProfile: RuntimeDefault`. The container's own context is fixed: no privilege escalation, no capabilities, a read-only root file system.",
    ),
  nodeSelector: strings(63).default({}).describe('Labels that a node must have.'),
  tolerations: z.array(deep()).max(64).meta(atomic).default([]).describe('Taints that the pods tolerate, as in a pod.'),
  affinity: deep().optional().describe('Affinity, as in a pod.'),
  topologySpreadConstraints: z
    .array(deep())
    .max(16)
    .meta(atomic)
    .default([])
    .describe('How the scheduler spreads the pods, as in a pod.'),
  priorityClassName: optionalObjectName().optional().describe('Priority class of the pods.'),
  serviceAccountName: optionalObjectName()
    .optional()
    .describe(
      'ServiceAccount of the pods, for image pulls and policies. Pods do not get its token, unless `volumes` projects it. Omitted: one that the operator makes.',
    ),
  terminationGracePeriodSeconds: count(5, 3600)
    .default(60)
    .describe('Seconds that a consumer has to settle its entries when it stops.'),
  logLevel: z.enum(['Debug', 'Info', 'Warn', 'Error']).default('Info').describe('Least severity of logged lines.'),
})
