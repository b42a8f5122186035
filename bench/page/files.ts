/** Files of the page: the JSON of its run, its plots, and the page itself. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectRoot } from '../../test/support/root.ts'
import type { Report } from '../forward/report.ts'
import { measuredPart, replaceMeasured } from './page.ts'
import { plot } from './plot.ts'

const page = join(projectRoot, 'docs', 'performance.md')
const folder = join(projectRoot, 'docs', 'performance')
const runFile = join(folder, 'run.json')

/** The run that the page shows. */
export const readRun = (): Report => JSON.parse(readFileSync(runFile, 'utf8')) as Report

export function writeRun(report: Report): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(runFile, `${JSON.stringify(report, undefined, 2)}\n`)
}

/** Every file of the page as it must be, by path. */
export function pageFiles(report: Report): ReadonlyMap<string, string> {
  const plots = report.curves.map((curve) => [join(folder, `${curve.name}.svg`), plot(curve)] as const)
  return new Map([...plots, [page, replaceMeasured(readFileSync(page, 'utf8'), measuredPart(report))]])
}

export function writePage(report: Report): void {
  for (const [path, text] of pageFiles(report)) writeFileSync(path, text)
}
