/** Every generated file, from its one source: the schema, the headers of the scripts, or a table of build/chart. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { crd } from '../api/crd.ts'
import { architecture, architecturePage } from './architecture.ts'
import { chartFiles } from './chart/files.ts'
import { conditions } from './conditions.ts'
import { libraryReference } from './library/reference.ts'
import { troubleshooting } from './library/troubleshooting.ts'
import { metricsDocument } from './metricsdoc.ts'
import { redisDocument } from './redisdoc.ts'
import { reference } from './reference.ts'
import { root } from './root.ts'
import { scriptCalls, scriptFile } from './scripts/generated.ts'

/** File, relative to the repository, and its content. */
export function generated(): ReadonlyMap<string, string> {
  const notice = 'Generated from api/schema by `npm run generate`; change it there.'
  return new Map([
    ['crds/streampipelines.yaml', `# ${notice}\n${stringify(crd(), { aliasDuplicateObjects: false, lineWidth: 0 })}`],
    [
      'docs/conditions.md',
      `<!-- Generated from operator/status/reasons.ts, api/status.ts and api/errorcatalogue.ts by \`npm run generate\`; change it there. Messages: operator/status/conditions/. -->\n${conditions()}`,
    ],
    ['docs/reference.md', `<!-- ${notice} -->\n${reference()}`],
    [
      'docs/redis.md',
      `<!-- Generated from redis/preflight/permissions.ts and build/redisdoc.ts by \`npm run generate\`. -->\n${redisDocument()}`,
    ],
    [
      'docs/metrics.md',
      `<!-- Generated from the metrics of operator, consumer and client by \`npm run generate\`; change them there. -->\n${metricsDocument()}`,
    ],
    [
      'docs/library.md',
      `<!-- Generated from the types and docstrings of client/ by \`npm run generate\`; change them there. -->\n${libraryReference()}`,
    ],
    [
      'docs/troubleshooting.md',
      `<!-- Generated from api/errorcatalogue.ts and the sources of client/ by \`npm run generate\`; change it there. -->\n${troubleshooting()}`,
    ],
    [architecturePage, architecture()],
    [scriptFile, scriptCalls()],
    ...chartFiles(),
  ])
}

function present(file: string): string | undefined {
  try {
    return readFileSync(join(root, file), 'utf8')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw thrown
  }
}

/** The files that differ from the output of their sources. */
export function stale(): readonly string[] {
  return [...generated()].filter(([file, content]) => present(file) !== content).map(([file]) => file)
}
