/**
 * Compiles what is published: `dist/`, JavaScript with declarations. Node strips types from the project's own sources but not
 * below node_modules, so an installed package must be JavaScript. Run by npm's `prepare`, on install in a clone and before pack.
 */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc')
rmSync(join(root, 'dist'), { recursive: true, force: true })
const compiled = spawnSync(process.execPath, [compiler, '-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit', cwd: root })
process.exitCode = compiled.status ?? 1
