/**
 * Reasons of conditions that are not errors; those of errors come from the error catalogue. The tone says how an Event about it
 * is classified and whether it is worth one: what merely takes its time is not news.
 */
import type { ConditionType } from '../../api/status.ts'

export type Tone = 'Good' | 'Underway' | 'Neutral' | 'Bad'

interface ReasonEntry {
  readonly type: ConditionType
  readonly tone: Tone
  readonly meaning: string
}

export const conditionReasons = {
  Running: { type: 'Ready', tone: 'Good', meaning: 'Redis answers, the objects match, consumers are ready.' },
  Progressing: { type: 'Stalled', tone: 'Good', meaning: 'Nothing waits for a person.' },
  ObjectsApplied: { type: 'Reconciled', tone: 'Good', meaning: 'All objects match the spec.' },
  ReconcileDisabled: {
    type: 'Reconciled',
    tone: 'Neutral',
    meaning: 'The annotation streampipeline.dev/reconcile: disabled keeps the operator from changing the objects.',
  },
  RedisConnected: { type: 'RedisReachable', tone: 'Good', meaning: 'Redis answers.' },
  NotObservedYet: { type: 'RedisReachable', tone: 'Underway', meaning: 'The operator has not asked Redis yet.' },
  ConsumersReady: { type: 'ConsumersAvailable', tone: 'Good', meaning: 'At least one consumer is ready.' },
  ScaledToZero: { type: 'ConsumersAvailable', tone: 'Good', meaning: 'Nothing waits, so none runs.' },
  ConsumersStarting: { type: 'ConsumersAvailable', tone: 'Underway', meaning: 'Pods are on their way.' },
  NoDeployment: { type: 'ConsumersAvailable', tone: 'Underway', meaning: 'The Deployment does not exist yet.' },
  ImagePullFailed: { type: 'ConsumersAvailable', tone: 'Bad', meaning: 'The image cannot be pulled.' },
  ConsumersCrashing: { type: 'ConsumersAvailable', tone: 'Bad', meaning: 'The container ends again and again.' },
  ContainerNotCreated: { type: 'ConsumersAvailable', tone: 'Bad', meaning: 'The container cannot be created as configured.' },
  Unschedulable: { type: 'ConsumersAvailable', tone: 'Bad', meaning: 'No node takes the pods.' },
  PodsRefused: { type: 'ConsumersAvailable', tone: 'Bad', meaning: 'The API server refuses the pods: a quota or a policy.' },
  ScalingOnAge: { type: 'ScalingActive', tone: 'Good', meaning: 'Replicas follow the age of the backlog.' },
  ManualReplicas: { type: 'ScalingActive', tone: 'Neutral', meaning: 'scaling.policy is Manual.' },
  MetricsUnavailable: { type: 'ScalingActive', tone: 'Bad', meaning: 'Redis cannot be asked, so scaling goes by onMetricsLoss.' },
  Suspended: { type: 'ScalingActive', tone: 'Neutral', meaning: 'spec.suspend is set.' },
  DirectMode: { type: 'ScalingActive', tone: 'Neutral', meaning: 'Producers enqueue themselves; consumers drain the stream.' },
  NotDraining: { type: 'Drained', tone: 'Neutral', meaning: 'Nobody asked for it: mode is Stream.' },
  Draining: { type: 'Drained', tone: 'Underway', meaning: 'Entries are still to be settled.' },
  StreamSettled: { type: 'Drained', tone: 'Good', meaning: 'Every entry is settled.' },
  NothingLost: { type: 'DataIntact', tone: 'Good', meaning: 'No entry was trimmed unread.' },
  EntriesLost: { type: 'DataIntact', tone: 'Bad', meaning: 'Entries were trimmed before anybody read them.' },
} as const satisfies Record<string, ReasonEntry>

export type ConditionReason = keyof typeof conditionReasons

/** Reasons that are not in this table are those of the error catalogue. */
export function toneOf(reason: string): Tone {
  return reason in conditionReasons ? conditionReasons[reason as ConditionReason].tone : 'Bad'
}
