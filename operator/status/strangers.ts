/**
 * Consumers of the group that are not this pipeline's: not registered, or registered by another owner. Our consumers
 * don't see the entries that they take. The operator can't judge whether they live, so it reports them and never reaps them.
 */
import { printableName } from '../../api/printable.ts'
import { parseIdentity } from '../../redis/stream/identity.ts'
import type { ConsumerSample, Sample } from '../../scaling/sample.ts'
import type { PodObject } from '../plan/observed.ts'

const mostNames = 3

/** Empty when there is none. */
export function strangersText(pipelineUid: string, pods: readonly PodObject[], sample: Sample): string {
  const present = new Set(pods.map(({ metadata }) => metadata.name))
  const names = sample.consumers
    .filter((each) => !present.has(each.name) && isStranger(each, pipelineUid))
    .map(({ name }) => name)
  if (names.length === 0) return ''
  const more = names.length > mostNames ? ` and ${names.length - mostNames} more` : ''
  const listed = `${names
    .toSorted()
    .slice(0, mostNames)
    .map((name) => printableName(name))
    .join(', ')}${more}`
  return `the group is shared with consumers that are not this pipeline's (${listed}): they take entries too, and what they leave waits for reclaim.minIdle`
}

function isStranger({ uid, heartbeat, pending }: ConsumerSample, pipelineUid: string): boolean {
  if (uid === undefined) return true
  // A registration of another owner that beats no more and holds nothing is only a name.
  return parseIdentity(uid)?.owner !== pipelineUid && (heartbeat !== undefined || pending > 0)
}
