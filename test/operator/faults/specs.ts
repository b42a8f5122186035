/** Specs that the API server takes, and that only a program, or the API server itself on the way to the Deployment, can judge. */
import { corrected, type Fault } from './fault.ts'

const invalid = (name: string, payload: object, reported: RegExp): Fault => ({
  name,
  spec: () => ({ payload }),
  type: 'Stalled',
  reason: 'InvalidSpec',
  reported: [reported, /is not a valid StreamPipeline/, /Correct the named fields/],
  mend: corrected({ payload: null }),
})

const refused = (name: string, consumer: Record<string, unknown>, reported: RegExp): Fault => ({
  name,
  spec: () => ({ consumer }),
  type: 'Reconciled',
  reason: 'ApplyFailed',
  reported: [reported, /^Deployment f-\d+-consumer: /, /Read the answer/],
  mend: corrected({ consumer: Object.fromEntries(Object.keys(consumer).map((key) => [key, null])) }),
})

const misspelt = (name: string, consumer: Record<string, unknown>, reported: RegExp): Fault => ({
  ...refused(name, consumer, reported),
  type: 'Stalled',
  reason: 'InvalidSpec',
  reported: [reported, /no pods can be made from spec\.consumer/, /Correct the field in spec\.consumer/],
})

const schedule = (name: string, wrong: object, reported: RegExp): Fault => ({
  name,
  spec: () => ({ scaling: { schedules: [{ cron: '0 8 * * *', minReplicas: 2, for: '1h', ...wrong }] } }),
  type: 'Stalled',
  reason: 'InvalidSpec',
  reported: [reported, /Correct the named fields/],
  mend: corrected({ scaling: { schedules: null } }),
})

export const specFaults: readonly Fault[] = [
  invalid(
    'an unknown type in the payload schema',
    { schema: { type: 'object', properties: { n: { type: 'integr' } } } },
    /payload\.schema/,
  ),
  invalid('a payload that is no object', { schema: { type: 'array' } }, /spec\.payload\.schema\.type: .*write type: object/),
  invalid(
    'a pattern with a back-reference',
    { schema: { type: 'object', properties: { s: { type: 'string', pattern: '(a)\\1' } } } },
    /spec\.payload\.schema/,
  ),
  invalid(
    'an idempotency key that the schema does not have',
    { schema: { type: 'object', properties: { a: { type: 'string' } } }, idempotencyKey: ['b'] },
    /spec\.payload\.idempotencyKey\[0\]/,
  ),
  schedule('an unknown time zone', { timeZone: 'Mars/Olympus' }, /schedules\[0\]\.timeZone/),
  schedule('a schedule that never comes true', { cron: '0 8 31 2 *' }, /schedules\[0\]\.cron: it never comes true/),
  schedule(
    'a schedule at minute 75',
    { cron: '75 8 * * *' },
    /schedules\[0\]\.cron: the minute "75" cannot be read: write \*, values from 0 to 59/,
  ),
  refused('a node selector that is no label', { nodeSelector: { disk: 'not valid!' } }, /nodeSelector/),
  refused(
    'a mount of a volume that is not there',
    { volumeMounts: [{ name: 'absent', mountPath: '/data' }] },
    /volumeMounts\[\d\]\.name/,
  ),
  refused(
    'requests above limits',
    { resources: { requests: { memory: '2Gi' }, limits: { memory: '1Gi' } } },
    /must be less than or equal to memory limit/,
  ),
  refused('a label that is none', { labels: { team: 'no spaces please' } }, /template\.labels/),
  refused('a label of nodes that is none', { nodeSelector: { 'two/slashes/here': 'x' } }, /nodeSelector/),
  misspelt(
    "a volume of the operator's own name",
    { volumes: [{ name: 'config', emptyDir: {} }] },
    /duplicate entries for key \[name="config"\]/,
  ),
  misspelt(
    "a variable of the operator's own name",
    { env: [{ name: 'POD_NAME', value: 'mine' }] },
    /duplicate entries for key \[name="POD_NAME"\]/,
  ),
  misspelt(
    'an affinity that is none',
    { affinity: { nodeAfinity: { x: 1 } } },
    /unknown field "spec\.template\.spec\.affinity\.nodeAfinity"/,
  ),
  misspelt(
    'a toleration without a key',
    { tolerations: [{ keyy: 'a', operator: 'Exists' }] },
    /unknown field "spec\.template\.spec\.tolerations\[0\]\.keyy"/,
  ),
  misspelt(
    'a security context that is none',
    { securityContext: { runAsNonroot: true } },
    /unknown field "spec\.template\.spec\.securityContext\.runAsNonroot"/,
  ),
  misspelt('a list where an object belongs', { affinity: { nodeAffinity: [] } }, /nodeAffinity/i),
  refused(
    'a toleration of an unknown effect',
    { tolerations: [{ key: 'a', operator: 'Exists', effect: 'Never' }] },
    /tolerations/,
  ),
]
