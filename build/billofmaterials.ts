/**
 * The bill of materials of a bundle, CycloneDX 1.6 JSON. It lists the packages of which code stands in the bundle, with
 * version and checksum from the lock file, and the licence that each package states. Equal inputs give equal bytes, so that two
 * builds of one commit can be compared.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

interface BillInput {
  readonly root: string
  readonly image: string
  readonly version: string
  /** Paths relative to `root`, as esbuild's metafile names them. */
  readonly inputs: readonly string[]
}

interface LockedPackage {
  readonly version: string
  readonly integrity?: string
  readonly license?: string
}

/** `node_modules/a/node_modules/@b/c/lib/x.js` → `node_modules/a/node_modules/@b/c`: the lock file's own keys. */
export function packageFolder(input: string): string | undefined {
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(input)?.[0]
}

export async function billOfMaterials({ root, image, version, inputs }: BillInput): Promise<object> {
  const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as { packages: Record<string, LockedPackage> }
  const folders = [...new Set(inputs.map(packageFolder).filter((folder) => folder !== undefined))].sort()
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      component: {
        type: 'application',
        'bom-ref': `streampipeline-${image}@${version}`,
        name: `streampipeline-${image}`,
        version,
        licenses: [{ license: { id: 'Apache-2.0' } }],
      },
    },
    components: folders.map((folder) => component(folder, lock.packages[folder])),
  }
}

function component(folder: string, locked: LockedPackage | undefined): object {
  if (locked === undefined) throw new Error(`${folder} is bundled, but package-lock.json does not know it: run npm ci`)
  const name = folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length)
  const purl = `pkg:npm/${name.replace('@', '%40')}@${locked.version}`
  return {
    type: 'library',
    'bom-ref': purl,
    name,
    version: locked.version,
    purl,
    ...(locked.license === undefined ? {} : { licenses: [{ expression: locked.license }] }),
    ...(locked.integrity?.startsWith('sha512-')
      ? { hashes: [{ alg: 'SHA-512', content: Buffer.from(locked.integrity.slice(7), 'base64').toString('hex') }] }
      : {}),
  }
}
