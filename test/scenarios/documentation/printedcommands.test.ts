/**
 * Readers copy the commands that README and docs print: the command line knows each of them with its options.
 *
 * Not checked: commands for other programs (some are in printedothers.test.ts), arguments that npm scripts other than `up` pass
 * on, and the effect of a command.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { Command, CommanderError } from 'commander'
import { commands as registered } from '../../../cli/commands/all.ts'
import { processTerminal } from '../../../cli/terminal.ts'
import { blocksOf, type Printed, spans } from '../../api/support/printed.ts'
import { commandsOf } from '../../api/support/shell.ts'
import { projectRoot } from '../../support/root.ts'

const manifest = JSON.parse(await readFile(join(projectRoot, 'package.json'), 'utf8')) as { scripts: Record<string, string> }

/** The words after `streampipeline`; undefined where the command is not ours; a text where there is no such npm script. */
function ownArguments(words: readonly string[]): readonly string[] | undefined | string {
  const [first, second] = words
  if (first === 'streampipeline') return words.slice(1)
  if ((first === 'npx' || first === 'kubectl') && second === 'streampipeline') return words.slice(2)
  if (first !== 'npm' || !(second === 'run' || second === 'test')) return undefined
  const rest = words.slice(second === 'test' ? 1 : 2).filter((word) => word !== '--silent')
  const [name = '', ...passed] = rest
  const script = manifest.scripts[name]
  if (script === undefined) return `package.json has no script ${name}`
  const [, program, ...given] = commandsOf(script)[0] ?? []
  return program === 'cli/main.ts' ? [...given, ...passed.filter((word) => word !== '--')] : undefined
}

/** Why the command line refuses the words; undefined when it does not. Nothing runs. */
async function refusal(words: readonly string[]): Promise<CommanderError | undefined> {
  const program = new Command('streampipeline')
  for (const register of registered) register(program, processTerminal)
  const quiet = (command: Command) => {
    command.exitOverride().configureOutput({ writeErr: () => undefined, writeOut: () => undefined })
    if (command.commands.length === 0) command.action(() => undefined)
    command.commands.forEach(quiet)
  }
  quiet(program)
  try {
    await program.parseAsync(words, { from: 'user' })
    return undefined
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? undefined : thrown
    throw thrown
  }
}

/** `--reason REASON`: the reader puts something else there. */
const placeholder = /argument '[A-Z][A-Z-]*' is invalid/

/** Errors of a command that a text names in short form, without its obvious arguments. */
const incomplete = ['commander.missingMandatoryOptionValue', 'commander.missingArgument', 'commander.help']

async function refused(printed: readonly Printed[], forgiven: readonly string[]) {
  const found: string[] = []
  let own = 0
  for (const { place, text } of printed) {
    for (const words of commandsOf(text)) {
      const reported = ownArguments(words)
      if (reported === undefined) continue
      own += 1
      const why = typeof reported === 'string' ? { code: '', message: reported } : await refusal(reported)
      if (why !== undefined && !forgiven.includes(why.code) && !placeholder.test(why.message))
        found.push(`${place}: ${words.join(' ')}: ${why.message}`)
    }
  }
  return { found, own }
}

test('the command line knows every command that a block of README or docs prints', async () => {
  const consoles = (await blocksOf('console')).map(({ place, text }) => ({ place, text: text.replaceAll(/^(?!\$ ).*$/gm, '') }))
  const typed = consoles.map(({ place, text }) => ({ place, text: text.replaceAll(/^\$ /gm, '') }))
  const { found, own } = await refused([...(await blocksOf('sh', 'bash', 'shell')), ...typed], [])
  assert.deepEqual(found, [])
  assert.ok(own >= 8, `only ${own} commands were found`)
})

test('the command line knows every command that their text names', async () => {
  const { found, own } = await refused(await spans(), incomplete)
  assert.deepEqual(found, [])
  assert.ok(own >= 10, `only ${own} commands were found`)
})

test('words of a shell text', () => {
  const text = `A=1 npx streampipeline up -f 'a b.yaml' \\\n  --x "y z" > out   # a comment\nsed 's|a|b|' f | kubectl apply -f -`
  assert.deepEqual(commandsOf(text), [
    ['npx', 'streampipeline', 'up', '-f', 'a b.yaml', '--x', 'y z'],
    ['sed', 's|a|b|', 'f'],
    ['kubectl', 'apply', '-f', '-'],
  ])
})

test('an unknown option, command and value are refused', async () => {
  for (const words of ['up -f a --nonsense', 'nonsense', 'dead nonsense', 'simulate --seeds']) {
    assert.notEqual(await refusal(words.split(' ')), undefined, words)
  }
})
