/** The page of conditions: every reason a condition or Event can have, from the catalogues the program itself speaks with. */
import { type ErrorCode, errorCatalogue } from '../api/errors.ts'
import { conditionTypes, waitingForOperator } from '../api/status.ts'
import { conditionReasons, type Tone } from '../operator/status/reasons.ts'

const meanings: Readonly<Record<(typeof conditionTypes)[number], string>> = {
  Ready:
    'The summary: the Redis of this spec answers, the objects match, the template is rolled out, consumers are available. Unknown while that is under way; False with the first reason in the way.',
  Stalled: 'True: it waits for a person; tools such as `helm --wait` and `kstatus` fail fast on it.',
  Reconciled: 'The objects made for the pipeline match its spec.',
  RedisReachable: 'Redis answers, takes writes, and its keys are what they should be.',
  ConsumersAvailable: 'A consumer is ready, or none is wanted.',
  ScalingActive: 'Replicas follow the age of the backlog.',
  Drained: 'Under mode Direct or suspend: whether anything is left in the stream.',
  DataIntact:
    'False once entries were trimmed unread, or while the dead-letter stream is full. Unknown while counts cannot tell.',
}

const events: Readonly<Record<Tone, string>> = {
  Good: 'Normal, when it ends a fault',
  Neutral: 'Normal, when it ends a fault',
  Underway: '',
  Bad: 'Warning',
}

const cell = (text: string) =>
  text
    .replaceAll('|', '\\|')
    .replaceAll('\n', ' ')
    .replaceAll(/\{(\w+)\}/g, '*$1*')
const row = (...cells: readonly string[]) => `| ${cells.join(' | ')} |`
const table = (head: readonly string[], rows: readonly string[]) =>
  [row(...head), row(...head.map(() => '---')), ...rows].join('\n')

export function conditions(): string {
  const types = conditionTypes.map((type) => row(`\`${type}\``, meanings[type]))
  const reasons = Object.entries(conditionReasons).map(([reason, { types: of, tone, meaning }]) =>
    row(`\`${reason}\``, of.map((type) => `\`${type}\``).join(', '), cell(meaning), events[tone]),
  )
  const waiting = row(`\`${waitingForOperator.reason}\``, '`Ready`', cell(waitingForOperator.message), '')
  const errors = (Object.keys(errorCatalogue) as ErrorCode[]).map((code) => {
    const { reason, kind, message, remedy } = errorCatalogue[code]
    return row(`\`${code}\``, `\`${reason}\``, kind === 'Terminal' ? 'no' : 'yes', cell(message), cell(remedy))
  })
  return `# Conditions, Events and errors

\`kubectl describe streampipeline NAME\` shows the conditions and the Events. Each message says what failed, on which object, why, and what
to do. Conditions are always all there, with the generation of the spec they were said of. \`Ready\` and \`Stalled\` follow the rules of
kstatus, by which \`helm --wait\` and Flux go; for Argo CD the chart has a health check (files/argocd-health.lua). A pipeline that is
suspended, Direct or at zero as asked for is Ready. While \`streampipeline.dev/reconcile: disabled\` is set, \`Ready\` keeps its status and
the generation that it was found of.

## Conditions

${table(['Condition', 'What it says'], types)}

## Reasons

Beside the conditions' own reasons each can have that of an error, below. \`ConsumersAvailable\`, \`DataIntact\`, \`Drained\`, \`Reconciled\`,
\`RedisReachable\` and \`ScalingActive\` record an Event when their reason changes.

${table(['Reason', 'Of', 'Meaning', 'Event'], [waiting, ...reasons])}

Two Events tell of no condition: \`Ready\` (Normal, when it becomes True) and \`Scaled\` (Normal, with the numbers and why).

## Errors

One catalogue for operator, consumer, library and command line. The code is stable and stands in logs and exceptions; the reason is what a
condition or Event has. *Retried*: the same may succeed later by itself; where it says no, the condition \`Stalled\` is True.

${table(['Code', 'Reason', 'Retried', 'Message', 'What to do'], errors)}
`
}
