/**
 * The observation of a pipeline that is not looked at, since its looks end the process. It is that of a failed look: nothing new is known,
 * and the number of consumers is held. Without a number to hold, the decision takes the least that the spec asks for.
 * `onMetricsLoss` does not apply.
 */
import type { StreamPipelineError } from '../../../api/errors.ts'
import { decide } from '../../../scaling/decide.ts'
import { scalingPolicy } from '../../../scaling/policy.ts'
import { lastSample } from '../../observe/lastsample.ts'
import type { Watched } from '../../observe/watcher.ts'
import type { Observation } from '../../plan/observed.ts'

export function blindly(observation: Observation, watched: Watched, error: StreamPipelineError): Observation {
  const before = observation.kind === 'None' ? undefined : observation
  const held = before?.decision.replicas ?? watched.currentReplicas
  // No state and no sample: nothing in this decision comes from Redis.
  const { replicas, recommended, limitedBy } = decide(undefined, undefined, scalingPolicy(watched.pipeline, held))
  const reason = `Redis is not asked: hold at ${replicas}`
  const decision = { replicas, recommended, reason, ...(limitedBy === undefined ? {} : { limitedBy }) }
  const { generation } = watched.pipeline
  return { kind: 'Failed', generation, error, decision, ...(before?.generation === generation ? lastSample(before) : {}) }
}
