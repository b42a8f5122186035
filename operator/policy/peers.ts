/**
 * Status reports why Redis cannot be reached, and so reveals the server at an address: a refusal, silence, another protocol, a certificate.
 * Teams that share an operator could scan ports with it. So with `--many-teams` status gives one text for all these causes. The
 * operator's log keeps the reason, for the administrator. Once a server has answered as a Redis does, status reports its errors
 * with their reasons.
 */
import { failure, type StreamPipelineError } from '../../api/errors.ts'
import type { Observation } from '../plan/observed.ts'

/** Errors raised before a peer has proved to be a Redis. */
const beforeAnswer: ReadonlySet<string> = new Set([
  'RedisUnreachable',
  'RedisTlsFailed',
  'RedisAddressRefused',
  'RedisReplyRefused',
  'Internal',
])

/** Removes the reasons that would distinguish one peer from another. */
export function withoutPeer(observation: Observation): Observation {
  if (observation.kind !== 'Failed') return observation
  return { ...observation, error: withoutReason(observation.error) }
}

const detail =
  'no Redis answers there that the operator may use. The reason is in the log of the operator, which serves many teams'

function withoutReason(error: StreamPipelineError): StreamPipelineError {
  if (!beforeAnswer.has(error.code)) return error
  return failure('RedisUnreachable', {
    address: error.parameters['address'] ?? error.parameters['host'] ?? 'the address named',
    detail,
  })
}
