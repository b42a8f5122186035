/** Troubleshooting for an application: the codes that the library throws or reports, from the catalogue and the sources that name them. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ErrorCode, errorCatalogue } from '../../api/errors.ts'
import { importsOf } from '../imports.ts'
import { root } from '../root.ts'

const named = /\bfailure\(\s*'(\w+)'/g

/** The library's own files, and all that they import. */
function reached(): ReadonlySet<string> {
  const files = new Set(globSync('client/*.ts', { cwd: root }))
  for (const file of files) for (const target of importsOf(file)) files.add(target)
  return files
}

/** The library reaches the code that makes these, and never gives it the limits that they report. */
const operatorOnly: ReadonlySet<string> = new Set<ErrorCode>(['RedisAddressRefused'])

/** Codes that code of the library may make. */
function libraryCodes(): readonly ErrorCode[] {
  const found = new Set<string>()
  for (const file of reached()) {
    for (const [, code = ''] of readFileSync(join(root, file), 'utf8').matchAll(named)) found.add(code)
  }
  return (Object.keys(errorCatalogue) as ErrorCode[]).filter((code) => found.has(code) && !operatorOnly.has(code))
}

const cell = (text: string) =>
  text
    .replaceAll('|', '\\|')
    .replaceAll('\n', ' ')
    .replaceAll(/\{(\w+)\}/g, '*$1*')

export function troubleshooting(): string {
  const rows = libraryCodes().map((code) => {
    const { kind, message, remedy } = errorCatalogue[code]
    return `| \`${code}\` | ${kind === 'Terminal' ? 'no' : 'yes'} | ${cell(message)} | ${cell(remedy)} |`
  })
  return `# Troubleshooting an application

This page lists the failures that the library throws or reports. Each is a \`StreamPipelineError\` with a stable \`code\`, a \`message\` and a
\`remedy\`. \`retryable\` is true if the same call may succeed later.

- If a call fails with a retryable code, you may repeat it. The idempotency key makes that safe.
- \`onError\` of a dispatcher or a worker receives failures that do not end a call.
- An error of your handler fails the attempt of its job, as in every BullMQ worker.
- [Where is my request?](requests.md) finds a request after its dispatch. [Conditions and errors](conditions.md#errors) also has the codes of
  the operator.

Words in *italics* stand for values.

| Code | Retryable | Message | Remedy |
|---|---|---|---|
${rows.join('\n')}
`
}
