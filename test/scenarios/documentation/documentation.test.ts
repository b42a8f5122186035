/** Readers copy the resources that README and docs print: each is accepted as it stands. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { describeProblems, kind, validate } from '../../../api/index.ts'
import { projectRoot } from '../../support/root.ts'

interface Printed {
  /** `README.md:61`. */
  readonly place: string
  readonly document: unknown
}

async function resourcesIn(file: string): Promise<Printed[]> {
  const text = await readFile(join(projectRoot, file), 'utf8')
  return [...text.matchAll(/^```ya?ml\n(.*?)^```/gms)].flatMap(({ 1: block = '', index }) => {
    const place = `${file}:${text.slice(0, index).split('\n').length}`
    return parseAllDocuments(block)
      .map((document): unknown => document.toJS())
      .filter((document) => typeof document === 'object' && document !== null && Reflect.get(document, 'kind') === kind)
      .map((document) => ({ place, document }))
  })
}

test('`validate` accepts every StreamPipeline that README and docs print', async () => {
  const files = ['README.md', ...globSync('docs/**/*.md', { cwd: projectRoot }).sort()]
  const printed = (await Promise.all(files.map(resourcesIn))).flat()
  assert.ok(
    printed.some(({ place }) => place.startsWith('README.md')),
    'README prints none',
  )
  const refused = printed
    .map(({ place, document }) => ({ place, problems: describeProblems(validate(document)) }))
    .filter(({ problems }) => problems !== '')
  assert.deepEqual(refused, [])
})
