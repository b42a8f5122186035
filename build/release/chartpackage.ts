/**
 * The chart's package. helm stamps a package with the time of its making. So tar makes it, which helm accepts as well. Where the
 * address of the repository is known, the package names it as home and source.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseDocument } from 'yaml'
import { root } from '../root.ts'
import { writeArchive } from './archive.ts'
import { committedFiles, type Source } from './source.ts'

const chart = 'streampipeline-operator'
const folder = join('charts', chart)

/** Writes the package into a folder. */
export function packChart(to: string, version: string, { epoch, address }: Source): void {
  const stage = mkdtempSync(join(tmpdir(), 'streampipeline-chart-'))
  try {
    for (const file of committedFiles(folder).filter((name) => name !== '.helmignore')) {
      const target = join(stage, chart, file)
      mkdirSync(dirname(target), { recursive: true })
      copyFileSync(join(root, folder, file), target)
    }
    if (address !== undefined) nameSource(join(stage, chart, 'Chart.yaml'), address)
    writeArchive({ parent: stage, name: chart, file: join(to, `${chart}-${version}.tgz`), epoch })
  } finally {
    rmSync(stage, { recursive: true, force: true })
  }
}

function nameSource(manifest: string, address: string): void {
  const document = parseDocument(readFileSync(manifest, 'utf8'))
  document.set('home', address)
  document.set('sources', [address])
  writeFileSync(manifest, document.toString({ lineWidth: 0 }))
}
