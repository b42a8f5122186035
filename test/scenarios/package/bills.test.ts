/**
 * A bill of materials names the packages of which code stands in the bundle, all of them and no other. Source maps are the witness:
 * a map names each file that a line of the bundle comes from.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { build, stop } from 'esbuild'
import { bundleAll, bundleOptions } from '../../../build/bundle.ts'
import { imageNames } from '../../../build/v8flags.ts'
import { projectRoot } from '../../support/root.ts'

const folder = await mkdtemp(join(tmpdir(), 'streampipeline-bills-'))
before(async () => void (await bundleAll(folder)))
after(async () => {
  await stop()
  await rm(folder, { recursive: true, force: true })
})

interface SourceMap {
  readonly sources: readonly string[]
}

/** `../../node_modules/a/node_modules/@b/c/x.js` → `@b/c` and the version that its own manifest states. */
async function packageOf(source: string): Promise<string | undefined> {
  const parts = source.split('node_modules/')
  if (parts.length === 1) return undefined
  const [first = '', second = ''] = parts.at(-1)?.split('/') ?? []
  const name = first.startsWith('@') ? `${first}/${second}` : first
  const home = [projectRoot, ...parts.slice(1, -1).map((part) => join('node_modules', part)), 'node_modules', name]
  const { version } = JSON.parse(await readFile(join(...home, 'package.json'), 'utf8')) as { version: string }
  return `${name}@${version}`
}

for (const name of imageNames) {
  test(`the ${name} image's bill equals the code of others in its bundle`, async () => {
    const { outputFiles = [] } = await build({
      ...bundleOptions(name, join(folder, 'mapped')),
      sourcemap: 'external',
      sourcesContent: false,
      write: false,
    })
    const maps = outputFiles.filter(({ path }) => path.endsWith('.map')).map(({ text }) => JSON.parse(text) as SourceMap)
    const sources = new Set(maps.flatMap((map) => map.sources))
    const found = await Promise.all([...sources].map(packageOf))
    const bundled = [...new Set(found)].filter((each) => each !== undefined).sort()
    const bill = JSON.parse(await readFile(join(folder, name, 'sbom.cdx.json'), 'utf8')) as {
      components: readonly { name: string; version: string }[]
    }
    assert.ok(bundled.length > 5, `only ${bundled.length} packages`)
    assert.deepEqual(bill.components.map((each) => `${each.name}@${each.version}`).sort(), bundled)
  })
}
