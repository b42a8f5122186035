/**
 * Reasons of conditions that are not errors; those of errors come from the error catalogue. The tone says how an Event about it
 * is classified and whether it is worth one: what merely takes its time is not news.
 */
import type { ConditionType } from '../../api/status.ts'

export type Tone = 'Good' | 'Underway' | 'Neutral' | 'Bad'

interface ReasonEntry {
  readonly types: readonly ConditionType[]
  readonly tone: Tone
  readonly meaning: string
}

export const conditionReasons = {
  Running: { types: ['Ready'], tone: 'Good', meaning: 'Redis answers, the objects match, consumers are ready.' },
  Progressing: {
    types: ['Stalled', 'Ready'],
    tone: 'Good',
    meaning:
      'Of Stalled: the operator goes on by itself, once any cause that Ready names is gone. Of Ready: the rollout of the consumers is under way.',
  },
  ProgressDeadlineExceeded: {
    types: ['Stalled', 'Ready'],
    tone: 'Bad',
    meaning: "The rollout of the consumers has stopped: nothing has moved for the Deployment's progressDeadlineSeconds.",
  },
  ObjectsApplied: { types: ['Reconciled'], tone: 'Good', meaning: 'All objects match the spec.' },
  PodMonitorMissing: {
    types: ['Reconciled'],
    tone: 'Bad',
    meaning: 'All objects match the spec except the PodMonitor. The operator cannot watch its kind, which may not be installed.',
  },
  ReconcileDisabled: {
    types: ['Reconciled', 'ScalingActive', 'Ready'],
    tone: 'Neutral',
    meaning: 'The annotation streampipeline.dev/reconcile: disabled keeps the operator from changing the objects.',
  },
  RedisConnected: { types: ['RedisReachable'], tone: 'Good', meaning: 'Redis answers.' },
  NotObservedYet: {
    types: ['RedisReachable', 'ScalingActive', 'Drained', 'DataIntact', 'Ready'],
    tone: 'Underway',
    meaning: 'The operator has not queried Redis yet, or cannot, since the spec must be corrected first.',
  },
  ConsumersReady: { types: ['ConsumersAvailable'], tone: 'Good', meaning: 'At least one consumer is ready.' },
  ConsumersDegraded: {
    types: ['ConsumersAvailable'],
    tone: 'Bad',
    meaning: 'Consumers are ready, but some pods cannot be made or cannot run.',
  },
  GroupShared: {
    types: ['ConsumersAvailable'],
    tone: 'Bad',
    meaning: 'Consumers of another pipeline or program read in the group of this pipeline and take entries from it.',
  },
  ScaledToZero: { types: ['ConsumersAvailable'], tone: 'Good', meaning: 'No entry waits, so no consumer runs.' },
  ConsumersStarting: { types: ['ConsumersAvailable', 'Ready'], tone: 'Underway', meaning: 'Pods are being created or started.' },
  NoDeployment: { types: ['ConsumersAvailable'], tone: 'Underway', meaning: 'The Deployment does not exist yet.' },
  ImagePullFailed: { types: ['ConsumersAvailable'], tone: 'Bad', meaning: 'The image cannot be pulled.' },
  ConsumersCrashing: { types: ['ConsumersAvailable'], tone: 'Bad', meaning: 'The container ends again and again.' },
  ContainerNotCreated: { types: ['ConsumersAvailable'], tone: 'Bad', meaning: 'The container cannot be created as configured.' },
  Unschedulable: { types: ['ConsumersAvailable'], tone: 'Bad', meaning: 'No node takes the pods.' },
  PodsEnded: {
    types: ['ConsumersAvailable'],
    tone: 'Bad',
    meaning: 'Pods were evicted or preempted, or ended for good in another way.',
  },
  RolloutPaused: {
    types: ['ConsumersAvailable', 'Ready'],
    tone: 'Bad',
    meaning: 'The Deployment is paused, so its template is not rolled out.',
  },
  ContainersInitializing: {
    types: ['ConsumersAvailable'],
    tone: 'Bad',
    meaning: 'An init container does not finish, or a sidecar does not start. Another program added it to the pods.',
  },
  VolumeNotMounted: { types: ['ConsumersAvailable'], tone: 'Bad', meaning: 'A volume of the pods cannot be mounted.' },
  SandboxNotCreated: { types: ['ConsumersAvailable'], tone: 'Bad', meaning: 'The node cannot set up the pod or its network.' },
  ConsumersNotReady: {
    types: ['ConsumersAvailable'],
    tone: 'Bad',
    meaning: 'Containers run, but a probe or a readiness gate does not succeed.',
  },
  ConsumersStuck: { types: ['ConsumersAvailable'], tone: 'Bad', meaning: 'A node has not started the pods within a minute.' },
  NodeLost: { types: ['ConsumersAvailable'], tone: 'Bad', meaning: 'The node of the pods does not answer.' },
  PodsRefused: { types: ['ConsumersAvailable'], tone: 'Bad', meaning: 'The API server refuses the pods: a quota or a policy.' },
  ScalingOnAge: { types: ['ScalingActive'], tone: 'Good', meaning: 'Replicas follow the age of the backlog.' },
  WakesLate: {
    types: ['ScalingActive'],
    tone: 'Bad',
    meaning:
      'No read waits for the first entry: Redis refuses the read, or the namespace has too many reads. The operator notices the first entry of a pipeline at zero some seconds late.',
  },
  ManualReplicas: { types: ['ScalingActive'], tone: 'Neutral', meaning: 'scaling.policy is Manual.' },
  MetricsUnavailable: {
    types: ['ScalingActive'],
    // RedisReachable reports the cause, with an Event.
    tone: 'Neutral',
    meaning: 'Redis cannot be queried, so scaling follows onMetricsLoss.',
  },
  QueueFull: {
    types: ['ScalingActive'],
    tone: 'Bad',
    meaning: 'The queue holds sink.bullmq.maxWaiting jobs, so consumers wait for the workers behind it.',
  },
  QueuePaused: {
    types: ['ScalingActive'],
    tone: 'Bad',
    meaning: 'The BullMQ queue is paused: jobs are added, and no worker takes them.',
  },
  Suspended: { types: ['Ready', 'ConsumersAvailable', 'ScalingActive'], tone: 'Neutral', meaning: 'spec.suspend is set.' },
  DirectMode: {
    types: ['ConsumersAvailable', 'ScalingActive'],
    tone: 'Neutral',
    meaning: 'Producers add jobs to the queue themselves; consumers drain the stream.',
  },
  NotDraining: { types: ['Drained'], tone: 'Neutral', meaning: 'Draining was not requested: mode is Stream.' },
  Draining: { types: ['Drained'], tone: 'Underway', meaning: 'The stream still has entries that are not settled.' },
  StreamSettled: {
    types: ['Drained'],
    tone: 'Good',
    meaning: 'Every entry is settled. With spec.suspend under mode Stream: consumers hold no entry, and others may wait.',
  },
  NothingLost: { types: ['DataIntact'], tone: 'Good', meaning: 'No entry was trimmed unread.' },
  LossesAcknowledged: {
    types: ['DataIntact'],
    tone: 'Good',
    meaning: 'Entries were lost, and the annotation streampipeline.dev/acknowledged-losses states their number.',
  },
  DeadLettersFull: {
    types: ['DataIntact'],
    tone: 'Bad',
    meaning:
      'The dead-letter stream holds deadLetter.maxEntries records. Entries that should become dead letters stay pending until there is room.',
  },
  EntriesUnaccounted: {
    types: ['DataIntact'],
    tone: 'Bad',
    meaning:
      'Other programs took entries that are still in the stream. Nothing is lost: the message has the command that delivers them again.',
  },
  EntriesUndecided: {
    types: ['DataIntact'],
    tone: 'Bad',
    meaning: 'Entries were trimmed unread or taken by other programs. The counts do not show which of the two.',
  },
  RetentionPinned: {
    types: ['DataIntact'],
    tone: 'Neutral',
    meaning:
      'Retention has waited for one pending or unread entry for ten minutes: that entry and all later ones stay in the stream.',
  },
  EntriesLost: { types: ['DataIntact'], tone: 'Bad', meaning: 'Entries were trimmed before a consumer read them.' },
} as const satisfies Record<string, ReasonEntry>

export type ConditionReason = keyof typeof conditionReasons

/** Reasons that are not in this table are those of the error catalogue. */
export function toneOf(reason: string): Tone {
  return reason in conditionReasons ? conditionReasons[reason as ConditionReason].tone : 'Bad'
}
