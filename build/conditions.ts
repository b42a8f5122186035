/** The page of conditions: every reason of a condition or Event, from the program's own catalogues. */
import { type ErrorCode, errorCatalogue } from '../api/errors.ts'
import { conditionTypes, waitingForOperator } from '../api/status.ts'
import { conditionReasons, type Tone } from '../operator/status/reasons.ts'

const meanings: Readonly<Record<(typeof conditionTypes)[number], string>> = {
  Ready:
    'The summary. True: the Redis of this spec answers, the objects match, the template is rolled out, consumers are available. Unknown: that is under way. False: the first reason against it.',
  Stalled: 'True: only a change by a person can help. Tools such as `helm --wait` and `kstatus` fail fast on it.',
  Reconciled: 'The objects made for the pipeline match its spec.',
  RedisReachable: 'Redis answers and accepts writes, and its keys have the expected types.',
  ConsumersAvailable: 'A consumer is ready, or none is wanted.',
  ScalingActive: 'Replicas follow the age of the backlog.',
  Drained: 'Under mode Direct or suspend: whether the stream has no unsettled entry.',
  DataIntact:
    'False once entries were trimmed unread, or while the dead-letter stream is full. Unknown while counts do not show whether entries were lost.',
}

const events: Readonly<Record<Tone, string>> = {
  Good: 'Normal, when it ends a failure',
  Neutral: 'Normal, when it ends a failure',
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

\`kubectl describe streampipeline NAME\` shows the conditions and the Events. Each message states the failure, its object, the cause
and the remedy.

- All conditions are always present, each with the generation of the spec that was judged.
- \`Ready\` and \`Stalled\` follow the rules of kstatus, which \`helm --wait\` and Flux use. For Argo CD the chart has a health check
  (\`files/argocd-health.lua\`).
- A pipeline is Ready while it is suspended, in mode Direct, or scaled to zero as configured.
- While \`streampipeline.dev/reconcile: disabled\` is set, \`Ready\` keeps its status, and the generation that it was judged for.

## Conditions

${table(['Condition', 'Meaning'], types)}

## Reasons

A condition may also have the reason of an [error](#errors). \`ConsumersAvailable\`, \`DataIntact\`, \`Drained\`, \`Reconciled\`,
\`RedisReachable\` and \`ScalingActive\` record an Event when their reason changes.

${table(['Reason', 'Of', 'Meaning', 'Event'], [waiting, ...reasons])}

Two more Events are \`Ready\` (Normal, when the condition becomes True) and \`Scaled\` (Normal, with the numbers and the reason).

## Errors

Operator, consumer, library and command line share one catalogue. The code is stable, and is part of logs and exceptions.
Conditions and Events have the reason.

*Retried*: yes if the same call may succeed later, although its caller changed nothing. While the operator has an error that is
not retried, the pipeline's condition \`Stalled\` is True.

${table(['Code', 'Reason', 'Retried', 'Message', 'Remedy'], errors)}
`
}
