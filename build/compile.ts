/**
 * Compiles the published code: `dist/` (or the folder named), JavaScript with declarations. Node strips types from the project's
 * own sources, but not below node_modules, so an installed package must be JavaScript. npm runs this as `prepare`: on install in
 * a clone, and before pack.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const output = resolve(process.argv[2] ?? join(root, 'dist'))
const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc')

// npm prints a page of warnings for an older Node; `.npmrc` silences it, and this line takes its place.
const ownNode = /node\/v(\S+)/.exec(process.env['npm_config_user_agent'] ?? '')?.[1]
if (ownNode !== undefined && Number.parseInt(ownNode, 10) < 24) {
  console.log(`Node ${process.versions.node} of this project is used by npm run and npx, in place of this machine's ${ownNode}.`)
}

// Else leftovers of renamed or removed files would be published.
rmSync(output, { recursive: true, force: true })
const project = ['-p', join(root, 'tsconfig.build.json'), '--outDir', output]
const compiled = spawnSync(process.execPath, [compiler, ...project], { stdio: 'inherit', cwd: root })
if (compiled.status === 0) {
  // The compiler rewrites `./x.ts` to `./x.js` in JavaScript but not in declarations, where only some resolvers follow it.
  for (const file of globSync('**/*.d.ts', { cwd: output })) {
    const path = join(output, file)
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll(/((?:from |import\()(["'])\.[^"']*)\.ts\2/g, '$1.js$2'))
  }
  chmodSync(join(output, 'cli', 'main.js'), 0o755)
}
process.exitCode = compiled.status ?? 1
