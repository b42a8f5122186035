/** Common mistakes: `kubectl describe` names the object, the cause and the remedy. */
import { apply, kubectl } from '../commands.ts'
import { consumerPods, pipelinesNamespace, untilDescribed } from '../pipeline.ts'
import type { Report } from '../stage.ts'

const pipeline = (name: string, more: object): object => ({
  apiVersion: 'streampipeline.dev/v1alpha1',
  kind: 'StreamPipeline',
  metadata: { name },
  spec: {
    redis: { url: 'redis://redis:6379/0' },
    source: { stream: `${name}:jobs`, group: name },
    sink: { bullmq: { queue: name } },
    scaling: { minReplicas: 1, maxReplicas: 2 },
    ...more,
  },
})

async function reported(
  report: Report,
  heading: string,
  text: string,
  name: string,
  more: object,
  pattern: RegExp,
): Promise<void> {
  await apply(pipeline(name, more), pipelinesNamespace)
  await untilDescribed(name, pattern)
  await report.capture(
    heading,
    text,
    ['kubectl', '-n', pipelinesNamespace, 'get', 'streampipeline', name],
    ['kubectl', '-n', pipelinesNamespace, 'describe', 'streampipeline', name],
  )
  await kubectl('-n', pipelinesNamespace, 'delete', 'streampipeline', name, '--wait=false')
}

export async function badImage(report: Report): Promise<void> {
  const image = 'nowhere.invalid/consumer:none'
  await reported(
    report,
    'An image that cannot be pulled',
    `\`spec.consumer.image\` is \`${image}\`, which does not exist.`,
    'badimage',
    { consumer: { image } },
    /Reason:\s+ImagePullFailed/,
  )
}

export async function badSecret(report: Report): Promise<void> {
  const redis = { url: 'redis://redis:6379/0', passwordFrom: { secretKeyRef: { name: 'no-such-secret', key: 'password' } } }
  await reported(
    report,
    'A Secret that is not there',
    '`spec.redis.passwordFrom` names a Secret that does not exist.',
    'badsecret',
    { redis },
    /no-such-secret/,
  )
}

export async function quota(report: Report): Promise<void> {
  const pods = String((await consumerPods()).length + 1)
  await apply(
    { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'tight' }, spec: { hard: { pods } } },
    pipelinesNamespace,
  )
  try {
    await reported(
      report,
      'A quota refuses the pods',
      'A ResourceQuota of the namespace allows no further pod.',
      'overquota',
      {},
      /Reason:\s+PodsRefused/,
    )
  } finally {
    await kubectl('-n', pipelinesNamespace, 'delete', 'resourcequota', 'tight')
  }
}
