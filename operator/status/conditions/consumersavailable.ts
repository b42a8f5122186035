/** Whether a consumer is ready, or none is wanted. The message also names the obstacles of other consumers. */
import type { CompiledPipeline } from '../../../api/compiled.ts'
import { deploymentType, podType } from '../../plan/kinds.ts'
import { consumerName } from '../../plan/names.ts'
import type { Observation } from '../../plan/observed.ts'
import type { Facts } from '../facts.ts'
import { strangersText } from '../strangers.ts'
import { type Checks, firstOf, unknown, type Verdict, verdict } from './verdict.ts'

const checks: Checks = [
  { name: 'Deployments cannot be watched', says: unwatched },
  {
    name: 'there is no Deployment',
    says({ observed: { deployment, object } }) {
      if (deployment !== undefined) return undefined
      const subject = `Deployment ${consumerName(object.metadata.name ?? '')}`
      return verdict('False', 'NoDeployment', `${subject} does not exist yet; the condition Reconciled gives the reason`)
    },
  },
  { name: 'none is wanted', says: noneWanted },
  { name: 'some are ready', says: someReady },
  {
    name: 'none is ready, for a cause',
    says: ({ obstacles }) => (obstacles[0] === undefined ? undefined : verdict('False', obstacles[0].reason, causes(obstacles))),
  },
  {
    name: 'none is ready',
    says: ({ replicas, observed: { pods } }) =>
      verdict('False', 'ConsumersStarting', `0 of ${replicas} consumers ready; ${pods.length} pods exist`),
  },
]

export const consumersAvailableChecks: Checks = [
  { name: 'and who else reads', says: (facts) => withStrangers(firstOf(checks, facts), facts) },
]

function unwatched({ observed: { dark = [], deployment }, ready, replicas }: Facts): Verdict | undefined {
  const unseen = dark.find(({ kind, known }) =>
    kind === deploymentType.kind ? known || deployment === undefined : kind === podType.kind && (known || replicas > 0),
  )
  if (unseen === undefined) return undefined
  const last = unseen.known ? `; when last seen, ${ready} of ${replicas} consumers were ready` : ''
  return unknown(unseen.error, `${unseen.subject} cannot be watched${last}: `)
}

function noneWanted({ replicas, look, observed: { spec } }: Facts): Verdict | undefined {
  if (replicas !== 0 || spec.kind !== 'Sound') return undefined
  if (spec.pipeline.suspend) return verdict('True', 'Suspended', 'spec.suspend is true: no consumer is wanted')
  if (spec.pipeline.mode === 'Direct')
    return verdict('True', 'DirectMode', 'mode is Direct and the stream is settled: no consumer is wanted')
  return verdict('True', 'ScaledToZero', zeroText(spec.pipeline, look))
}

function zeroText({ scaling }: CompiledPipeline, look: Observation): string {
  if (scaling.policy === 'Manual') return 'spec.replicas is 0, as asked for: no consumer is wanted'
  if (look.kind !== 'Seen')
    return 'The last decision wanted no consumer. Once Redis answers, the operator knows whether entries wait'
  const { undelivered, pending } = look.sample
  return undelivered + pending === 0
    ? 'Nothing waits: no consumer is wanted until an entry arrives'
    : `No consumer is wanted: ${look.decision.reason}`
}

function someReady({ ready, replicas, obstacles, rollout }: Facts): Verdict | undefined {
  if (ready === 0) return undefined
  const text = `${ready} of ${replicas} consumers ready`
  const stopped = rollout?.kind === 'Stopped' ? `; the rollout has stopped: ${rollout.text}` : ''
  if (obstacles.length === 0 && stopped === '') return verdict('True', 'ConsumersReady', text)
  const why = obstacles.length === 0 ? '' : `; ${causes(obstacles)}`
  return verdict('True', 'ConsumersDegraded', `${text}${stopped}${why}`)
}

/** Two causes at most: the others show once these are mended. */
function causes(obstacles: Facts['obstacles']): string {
  return obstacles
    .slice(0, 2)
    .map(({ text }) => text)
    .join('. ')
}

function withStrangers(said: Verdict, { look, observed: { object, pods } }: Facts): Verdict {
  const text = look.kind === 'Seen' ? strangersText(object.metadata.uid ?? '', pods, look.sample) : ''
  if (text === '') return said
  const message = `${said.message}; ${text}. Give each program a group of its own`
  return said.status === 'True' ? verdict('True', 'GroupShared', message) : { ...said, message }
}
