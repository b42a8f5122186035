/**
 * Compiles the published code: `dist/` (or the folder named). Node strips types from the project's own sources, but not below
 * node_modules, so an installed package must be JavaScript. npm runs this as `prepare`: on install in a clone, and before pack.
 */
import { chmodSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { stop } from 'esbuild'
import { bundlePackage, libraryEntries } from './package/bundles.ts'
import { writeDeclarations } from './package/declarations.ts'
import { writeNotices } from './package/notices.ts'
import { root } from './root.ts'

const output = resolve(process.argv[2] ?? join(root, 'dist'))

// npm prints a page of warnings for an older Node; `.npmrc` silences it, and this line takes its place.
const ownNode = /node\/v(\S+)/.exec(process.env['npm_config_user_agent'] ?? '')?.[1]
if (ownNode !== undefined && Number.parseInt(ownNode, 10) < 24) {
  console.log(`Node ${process.versions.node} of this project is used by npm run and npx, in place of this machine's ${ownNode}.`)
}

// Else leftovers of renamed or removed files would be published.
rmSync(output, { recursive: true, force: true })
writeDeclarations(join(output, 'types'), Object.values(libraryEntries))
try {
  const inputs = await bundlePackage(output)
  await writeNotices(join(output, 'licenses.txt'), inputs)
} finally {
  // Without this call, esbuild's service process would live on.
  await stop()
}
chmodSync(join(output, 'cli', 'main.mjs'), 0o755)
