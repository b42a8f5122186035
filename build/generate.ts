/**
 * `npm run generate` writes every generated file. With `--check` it writes nothing, and fails with the names of files that
 * differ. The scripts' calls come first: the other documents are made by programs that import them.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { root } from './root.ts'
import { scriptCalls, scriptFile } from './scripts/generated.ts'

function write(file: string, content: string): void {
  if (existsSync(join(root, file)) && readFileSync(join(root, file), 'utf8') === content) return
  mkdirSync(dirname(join(root, file)), { recursive: true })
  writeFileSync(join(root, file), content)
  console.log(`wrote ${file}`)
}

async function run(check: boolean): Promise<number> {
  if (!check) write(scriptFile, scriptCalls())
  const { generated, stale } = await import('./documents.ts')
  const differing = stale()
  for (const [file, content] of generated()) {
    if (!differing.includes(file)) continue
    if (check) console.error(`${file} differs from the output of its source: run \`npm run generate\` and commit the result`)
    else write(file, content)
  }
  return check && differing.length > 0 ? 1 : 0
}

if (import.meta.main) process.exitCode = await run(process.argv.includes('--check'))
