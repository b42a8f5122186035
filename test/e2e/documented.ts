/**
 * Runs the commands of docs/install.md as they are written there, so that the page cannot rot. A stage takes a command from the
 * page by a pattern. At the end every command has been run, or is one that a test cannot run.
 */
import { readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { projectRoot } from '../support/root.ts'
import { execute } from './commands.ts'

/** Commands that need kind, a registry, an image from one, or an operator confined to namespaces, or that run this test. */
const elsewhere = [
  /^(npm ci|npm run images)\b/,
  /^(kind|ctr|skopeo) /,
  /registry\.example\.com/,
  /--image=redis:7/,
  /^kubectl expose deployment redis/,
  /deploy\/redis/,
  /npm run test:e2e/,
  /^npx streampipeline crd/,
  /namespaces=\{/,
]

const run = new Set<string>()

/** Each command in the page's `sh` blocks, its continuation lines joined, without its comment. */
export function documentedCommands(): readonly string[] {
  const page = readFileSync(join(projectRoot, 'docs', 'install.md'), 'utf8')
  return [...page.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) =>
    block
      .replaceAll(/\\\n\s*/g, '')
      .split('\n')
      .map((line) => line.replace(/\s+# .*$/, '').trim())
      .filter((line) => line !== ''),
  )
}

export const notYetRun = (): readonly string[] =>
  documentedCommands().filter((command) => !run.has(command) && !elsewhere.some((pattern) => pattern.test(command)))

/**
 * Runs the page's one command that matches, by a shell in the project's folder.
 * @param namespace where kubectl works when the command names none
 */
export async function documented(pattern: RegExp, namespace?: string): Promise<string> {
  const found = [...new Set(documentedCommands().filter((command) => pattern.test(command)))]
  const [command] = found
  if (command === undefined || found.length > 1)
    throw new Error(`docs/install.md has ${found.length} commands like ${pattern}: ${found.join('; ')}`)
  run.add(command)
  const assets = process.env['KUBEBUILDER_ASSETS']
  const path = [...(assets === undefined ? [] : [assets]), dirname(process.execPath), process.env['PATH']].join(delimiter)
  const kubectl = namespace === undefined ? '' : `kubectl() { command kubectl -n ${namespace} "$@"; }; `
  const script = `set -eo pipefail; cd "$1"; PATH="$2"; ${kubectl}${command}`
  const { code, stdout, stderr } = await execute('bash', ['-c', script, 'documented', projectRoot, path])
  if (code !== 0) throw new Error(`docs/install.md: ${command}: ${stderr || stdout}`)
  return stdout
}
