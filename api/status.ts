/** The operator's report. One line per thing, since `kubectl describe` prints each field on a line of its own. */
import { z } from 'zod'

export const conditionTypes = [
  'Ready',
  'Stalled',
  'Reconciled',
  'RedisReachable',
  'ConsumersAvailable',
  'ScalingActive',
  'Drained',
  'DataIntact',
] as const
export type ConditionType = (typeof conditionTypes)[number]

const number = () => z.int().meta({ format: 'int64' })
const small = () => z.int().meta({ format: 'int32' })
const time = () => z.string().meta({ format: 'date-time' })
const lines = () => z.array(z.string().max(512)).max(10).meta({ 'x-kubernetes-list-type': 'atomic' })

const condition = z.strictObject({
  type: z
    .string()
    .max(316)
    .regex(/^([a-z0-9.-]+\/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$/)
    .describe('Type of the condition.'),
  status: z.enum(['True', 'False', 'Unknown']).describe('Whether the condition holds.'),
  reason: z
    .string()
    .min(1)
    .max(1024)
    .regex(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/)
    .describe('Cause, in one word.'),
  message: z.string().max(32_768).describe('The failure, its object, the cause and the remedy.'),
  lastTransitionTime: time().describe('When `status` last changed.'),
  observedGeneration: number().min(0).optional().describe('Generation of the spec that the condition is about.'),
})

export const waitingForOperator = {
  type: 'Ready',
  status: 'Unknown',
  reason: 'WaitingForOperator',
  message: 'No operator has looked at this yet: is one running, and does it watch this namespace?',
  lastTransitionTime: '1970-01-01T00:00:00Z',
} as const

export const statusSchema = z.strictObject({
  observedGeneration: number().optional().describe('Generation of the spec that this status is about.'),
  replicas: small().optional().describe('Number of consumer pods.'),
  readyReplicas: small().optional().describe('Number of ready consumer pods.'),
  selector: z.string().max(1024).optional().describe('Label selector of the pods, for the scale subresource.'),
  backlog: z
    .strictObject({
      undelivered: number().optional().describe('Entries that no consumer has read.'),
      pending: number().optional().describe('Entries that consumers have read and not settled.'),
      quarantined: number()
        .optional()
        .describe('Pending entries that Redis has delivered three times or more. They do not add replicas.'),
      oldestAge: z.string().max(32).optional().describe('Age of the oldest waiting entry.'),
      deadLettered: number().optional().describe('Number of dead letters.'),
      lost: number().optional().describe('Entries that were ever trimmed unread.'),
      unaccounted: number()
        .optional()
        .describe('Upper bound of the entries that other programs took from the group and that are still in the stream.'),
    })
    .optional()
    .describe('Rounded counts of entries and dead letters.'),
  idempotency: z
    .strictObject({
      marks: number().optional().describe('Number of marks after the present rate has lasted for idempotency.window.'),
      memory: z.string().max(32).optional().describe("Memory that these marks take of the queue's Redis."),
    })
    .optional()
    .describe('Rounded forecast for the marks of forwarded keys, at the present rate of the stream.'),
  consumers: z
    .strictObject({
      active: small().optional().describe('Consumers that send heartbeats.'),
      starting: small().optional().describe('Pods whose consumers have not registered in Redis yet.'),
      stale: small().optional().describe('Consumers without heartbeats whose pods exist.'),
      vanished: small().optional().describe('Consumers without heartbeats whose pods are gone.'),
      unhealthy: lines().optional().describe('One line for each unhealthy consumer, worst first.'),
    })
    .optional()
    .describe('Numbers of consumers by state.'),
  scaling: z
    .strictObject({
      desiredReplicas: small().optional().describe('Number of consumers that should run.'),
      recommendedReplicas: small().optional().describe('Number that the scaler recommends, also under Manual.'),
      reason: z.string().max(1024).optional().describe('Reason for the number.'),
      limitedBy: z.string().max(64).optional().describe('Limit that keeps the number from being larger or smaller.'),
      lastScaleTime: time().optional().describe('When the number last changed.'),
      decisions: lines().optional().describe('One line for each decision, newest first.'),
    })
    .optional()
    .describe('The last decision on the number of consumers.'),
  conditions: z
    .array(condition)
    .max(16)
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })
    .optional()
    .describe(`Conditions: ${conditionTypes.join(', ')}.`),
})

export type StreamPipelineStatus = z.output<typeof statusSchema>
export type Condition = z.output<typeof condition>
