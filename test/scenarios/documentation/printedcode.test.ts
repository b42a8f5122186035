/**
 * The TypeScript and JavaScript that README and docs print is checked against the package's own types. Names that a block leaves
 * to its reader (`request_hash`) may be anything; all else must fit. Nothing runs. Other languages are not looked at here: YAML
 * is in documentation.test.ts and printedyaml.test.ts, commands in printedcommands.test.ts and printedothers.test.ts.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { blocksOf } from '../../api/support/printed.ts'
import { run } from '../../support/process.ts'
import { projectRoot } from '../../support/root.ts'

const compiler = join(projectRoot, 'node_modules', 'typescript', 'bin', 'tsc')

async function openFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-printed-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const paths = {
    streampipeline: [join(projectRoot, 'client', 'index.ts')],
    'streampipeline/api': [join(projectRoot, 'api', 'index.ts')],
    'streampipeline/testing': [join(projectRoot, 'client', 'testing', 'index.ts')],
  }
  const settings = {
    extends: join(projectRoot, 'tsconfig.json'),
    compilerOptions: {
      ...{ paths, allowJs: true, checkJs: true, noUnusedLocals: false, noUnusedParameters: false },
    },
    include: [join(folder, '*')],
    exclude: [],
  }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(settings))
  await symlink(join(projectRoot, 'node_modules'), join(folder, 'node_modules'))
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
  return folder
}

interface Complaints {
  /** By file, line by line. */
  readonly of: ReadonlyMap<string, readonly string[]>
  /** Names that nothing declares. */
  readonly missing: readonly string[]
}

/** Errors of the compiler. An undeclared name is of any type, and so gives no further error. */
async function complaints(t: TestContext, folder: string): Promise<Complaints> {
  const { stdout, stderr } = await run(t, [compiler, '--project', folder, '--pretty', 'false'], { timeoutMs: 240_000 })
  const lines = (stdout + stderr).split('\n').filter((line) => line !== '')
  const nameIn = (line: string) => /error TS(?:2304|18004|2552): .*?'(\w+)'/.exec(line)?.[1]
  const missing = [...new Set(lines.flatMap((line) => nameIn(line) ?? []))]
  const reported = lines.filter((line) => nameIn(line) === undefined)
  return { of: Map.groupBy(reported, (line) => basename(/^(.*?)\(\d+,\d+\)/.exec(line)?.[1] ?? line)), missing }
}

const wrong = `import { createDispatcher, nonsense } from 'streampipeline'
createDispatcher({ config: 7, redis: nowhere })
`

test('TypeScript and JavaScript of README and docs fit the package’s types', async (t) => {
  const blocks = await blocksOf('ts', 'typescript', 'js', 'javascript')
  assert.ok(blocks.length > 0, 'README prints none')
  const folder = await openFolder(t)
  for (const { place, text } of blocks) await writeFile(join(folder, `${place.replaceAll(/\W+/g, '-')}.ts`), text)
  await writeFile(join(folder, 'wrong.ts'), wrong)
  const { of, missing } = await complaints(t, folder)
  const reported = [...of].flatMap(([file, lines]) => (file === 'wrong.ts' ? [] : lines))
  assert.deepEqual(reported, [])
  t.diagnostic(`left to the reader: ${missing.join(', ')}`)

  const found = of.get('wrong.ts')?.join('\n') ?? ''
  assert.match(found, /nonsense/, 'a name that the package does not have passes')
  assert.match(found, /'number' is not assignable/, 'an option of another type passes')
  assert.ok(missing.includes('nowhere'))
})
