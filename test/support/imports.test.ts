import './leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { importersOf } from './imports.ts'
import { projectRoot } from './root.ts'

async function project(t: TestContext, files: Readonly<Record<string, string>>) {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-imports-'))
  t.after(() => rm(folder, { recursive: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return (name: string) => join(folder, name)
}

test('importers are found through others, in a circle and by a late import; a package of the same name does not count', async (t) => {
  const at = await project(t, {
    'target.ts': '',
    'direct.ts': "import './target.ts'\n",
    'a.ts': "import { b } from './b.ts'\n",
    'b.ts': "import type { A } from './a.ts'\nexport * from './direct.ts'\n",
    'late.ts': "const it = await import('./direct.ts')\n",
    'none.ts': "import target from 'target.ts'\nimport './absent.ts'\n",
  })
  const files = ['a.ts', 'b.ts', 'late.ts', 'none.ts', 'direct.ts'].map(at)
  assert.deepEqual(importersOf(at('target.ts'), files), ['a.ts', 'b.ts', 'late.ts', 'direct.ts'].map(at))
})

test('tests of Redis and of payloads need no Kubernetes; those of the operator on an API server do', () => {
  const at = (path: string) => join(projectRoot, path)
  const without = ['test/scenarios/redis/stream.test.ts', 'test/consumer/states.test.ts', 'test/client/worker.test.ts'].map(at)
  const within = ['test/scenarios/operator/operator.test.ts', 'test/scenarios/api/apiserver.test.ts'].map(at)
  assert.deepEqual(importersOf(at('test/support/assets.ts'), [...without, ...within]), within)
})
