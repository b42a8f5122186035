/** What the operator reports. One line per thing, since `kubectl describe` prints each field on a line of its own. */
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
    .describe('What is said.'),
  status: z.enum(['True', 'False', 'Unknown']).describe('Whether it holds.'),
  reason: z
    .string()
    .min(1)
    .max(1024)
    .regex(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/)
    .describe('Why, in one word.'),
  message: z.string().max(32_768).describe('What failed, on which object, why, and what to do.'),
  lastTransitionTime: time().describe('When `status` last changed.'),
  observedGeneration: number().min(0).optional().describe('Generation of the resource it was said of.'),
})

export const waitingForOperator = {
  type: 'Ready',
  status: 'Unknown',
  reason: 'WaitingForOperator',
  message: 'No operator has looked at this yet: is one running, and does it watch this namespace?',
  lastTransitionTime: '1970-01-01T00:00:00Z',
} as const

export const statusSchema = z.strictObject({
  observedGeneration: number().optional().describe('Generation the rest was made from.'),
  replicas: small().optional().describe('Consumer pods there are.'),
  readyReplicas: small().optional().describe('Those that are ready.'),
  selector: z.string().max(1024).optional().describe('Label selector of the pods, for the scale subresource.'),
  backlog: z
    .strictObject({
      undelivered: number().optional().describe('Entries no consumer has read.'),
      pending: number().optional().describe('Entries read and not settled.'),
      quarantined: number().optional().describe('Pending entries near the delivery ceiling; they do not move replicas.'),
      oldestAge: z.string().max(32).optional().describe('Age of the oldest entry that waits.'),
      deadLettered: number().optional().describe('Dead letters kept.'),
      lost: number().optional().describe('Entries trimmed unread, ever.'),
      unaccounted: number().optional().describe('Entries others took, still in the stream, at most.'),
    })
    .optional()
    .describe('What waits, rounded.'),
  consumers: z
    .strictObject({
      active: small().optional().describe('At work.'),
      starting: small().optional().describe('Not yet seen in Redis.'),
      stale: small().optional().describe('Alive by the cluster, silent in Redis.'),
      vanished: small().optional().describe('Gone, with entries still under their name.'),
      unhealthy: lines().optional().describe('One line each, worst first.'),
    })
    .optional()
    .describe('How many consumers are in which state.'),
  scaling: z
    .strictObject({
      desiredReplicas: small().optional().describe('How many consumers there should be.'),
      recommendedReplicas: small().optional().describe('How many the model recommends, obeyed or not.'),
      reason: z.string().max(1024).optional().describe('Why that many.'),
      limitedBy: z.string().max(64).optional().describe('What keeps it from more or fewer.'),
      lastScaleTime: time().optional().describe('When it last changed.'),
      decisions: lines().optional().describe('One line each, newest first.'),
    })
    .optional()
    .describe('The last decision.'),
  conditions: z
    .array(condition)
    .max(16)
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })
    .optional()
    .describe(`Conditions: ${conditionTypes.join(', ')}.`),
})

export type StreamPipelineStatus = z.output<typeof statusSchema>
export type Condition = z.output<typeof condition>
