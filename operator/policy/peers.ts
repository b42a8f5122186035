/**
 * Status says why Redis cannot be reached, and so what answers at an address: refused, silent, another protocol, a certificate. Where
 * teams share an operator that makes a port scanner of it. With `--many-teams` all of it is told in one text; the operator's log keeps the
 * reason, for the administrator. What a server says after it has answered as a Redis does is told as ever.
 */
import { failure, type StreamPipelineError } from '../../api/errors.ts'
import type { Observation } from '../plan/observed.ts'

/** Said before a peer has shown that it is a Redis. */
const beforeAnswer: ReadonlySet<string> = new Set([
  'RedisUnreachable',
  'RedisTlsFailed',
  'RedisAddressRefused',
  'RedisReplyRefused',
  'Internal',
])

/** With the reasons left out that tell one peer from another. */
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
