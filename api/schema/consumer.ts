/**
 * Overrides of the consumer's pod. Fields are Kubernetes' own; where theirs are deep, the inner parts are passed on as written and
 * checked by the API server when the operator applies the Deployment, whose refusal shows in the condition Reconciled.
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

const amounts = z.record(z.string(), amount()).meta({ maxProperties: 16 })

export const consumerSchema = z.strictObject({
  image: z.string().max(1024).optional().describe("Image. Omitted or empty: the operator's `--consumer-image`."),
  imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).default('IfNotPresent').describe('When the image is pulled.'),
  imagePullSecrets: z
    .array(z.strictObject({ name: text(253).describe('Name of the Secret.') }))
    .max(16)
    .meta(listBy('name'))
    .default([])
    .describe('Secrets to pull the image with.'),
  env: z
    .array(
      z.strictObject({
        name: text(253).describe('Name of the variable.'),
        value: z.string().max(32_768).optional().describe('Its value.'),
        valueFrom: deep().optional().describe("Where its value comes from, as in a pod's container."),
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
  labels: guarded(strings(63), ownKeys).default({}).describe("More labels of the pods. The operator's own win."),
  annotations: guarded(strings(8192), ownKeys).default({}).describe("More annotations of the pods. The operator's own win."),
  commonLabels: guarded(strings(63), ownKeys)
    .default({})
    .describe(
      "More labels of the objects that the operator makes. Pods have `labels`, so a change restarts none. The operator's own win.",
    ),
  commonAnnotations: guarded(strings(8192), ownKeys)
    .default({})
    .describe('More annotations of the objects that the operator makes. Pods have `annotations`, so a change restarts none.'),
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
          mountPath: text(1024).describe('Where it is mounted.'),
        })
        .meta(opaque),
    )
    .max(32)
    .meta(listBy('mountPath'))
    .default([])
    .describe("Where volumes are mounted, as in a pod's container."),
  resources: z
    .strictObject({
      requests: amounts.optional().describe('What the scheduler sets aside.'),
      limits: amounts.optional().describe('What may not be exceeded.'),
    })
    .optional()
    .describe(
      "CPU and memory. Omitted: the operator's default, which is requests of 100m and 128Mi and a memory limit of 256Mi unless the chart's `consumerDefaults.resources` states another.",
    ),
  securityContext: deep()
    .optional()
    .describe(
      "The pod's security context. Its fields override the defaults runAsNonRoot: true and seccompProfile: RuntimeDefault. The container's own context is fixed: no privilege escalation, no capabilities, read-only root.",
    ),
  nodeSelector: strings(63).default({}).describe('Labels a node must have.'),
  tolerations: z.array(deep()).max(64).meta(atomic).default([]).describe('Taints that are tolerated, as in a pod.'),
  affinity: deep().optional().describe('Affinity, as in a pod.'),
  topologySpreadConstraints: z.array(deep()).max(16).meta(atomic).default([]).describe('How pods are spread, as in a pod.'),
  priorityClassName: optionalObjectName().optional().describe('Priority class of the pods.'),
  serviceAccountName: optionalObjectName()
    .optional()
    .describe('ServiceAccount of the pods, for image pulls and policies; no token is mounted. Omitted: one the operator makes.'),
  terminationGracePeriodSeconds: count(5, 3600).default(60).describe('Seconds a consumer has to drain.'),
  logLevel: z.enum(['Debug', 'Info', 'Warn', 'Error']).default('Info').describe('What is logged.'),
})
