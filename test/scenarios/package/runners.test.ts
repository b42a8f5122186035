/** The test kit of the installed package in the runners that applications use, each with its own fake time. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { cp, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { npmNode, npmPackages } from '../../support/npmpackages.ts'
import { run } from '../../support/process.ts'
import { projectRoot } from '../../support/root.ts'
import type { Scope } from '../../support/scope.ts'
import { installPackage } from './install.ts'

const { app } = await installPackage({ after })
await cp(join(projectRoot, 'test', 'scenarios', 'package', 'fixture', 'runners'), join(app, 'runners'), { recursive: true })

const patience = { timeoutMs: 180_000 }

async function passes(scope: Scope, args: readonly string[], counted: RegExp, command = process.execPath): Promise<void> {
  const env = { NODE_TEST_CONTEXT: undefined, CI: 'true' }
  const { code, stdout, stderr } = await run(scope, [...args], { command, cwd: app, env, ...patience })
  assert.equal(code, 0, stdout + stderr)
  assert.match(stdout + stderr, counted)
}

test('node:test, with its mocked timers and with a clock of the test', async (t) => {
  await passes(t, ['--test', '--test-reporter=tap', 'runners/node.test.mjs'], /^# pass 2$/m)
})

test('node:test of the oldest Node', async (t) => {
  const { program, skip } = await npmNode(t, '20.19.0')
  if (skip !== false) return t.skip(skip)
  await passes(t, ['--test', '--test-reporter=tap', 'runners/node.test.mjs'], /^# pass 2$/m, program)
})

test('vitest, with fake timers', async (t) => {
  const { folder, skip } = await npmPackages(t, { vitest: '5.1.2' })
  if (skip !== false) return t.skip(skip)
  await symlink(join(folder, 'node_modules', 'vitest'), join(app, 'node_modules', 'vitest'))
  const program = join(folder, 'node_modules', 'vitest', 'vitest.mjs')
  await writeFile(join(app, 'vitest.config.mjs'), `export default { test: { include: ['runners/vitest.test.mjs'] } }\n`)
  await passes(t, [program, 'run', '--root', app], /1 passed/)
})

test('jest, which requires CommonJS, with fake timers', async (t) => {
  const { folder, skip } = await npmPackages(t, { jest: '30.5.2' })
  if (skip !== false) return t.skip(skip)
  // The application is of CommonJS here: jest takes its kind of modules from package.json.
  await mkdir(join(app, 'jest'), { recursive: true })
  for (const name of ['story.cjs', 'jest.test.cjs']) await cp(join(app, 'runners', name), join(app, 'jest', name))
  const rootDir = join(app, 'jest')
  const config = {
    rootDir,
    cacheDirectory: join(rootDir, 'cache'),
    testMatch: ['**/*.test.cjs'],
    moduleFileExtensions: ['js', 'cjs', 'json'],
  }
  await writeFile(join(app, 'jest', 'jest.config.json'), JSON.stringify(config))
  const program = join(folder, 'node_modules', 'jest', 'bin', 'jest.js')
  await passes(t, [program, '--config', join(app, 'jest', 'jest.config.json'), '--runInBand'], /1 passed/)
})
