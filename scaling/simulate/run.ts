/** The work of the `simulate` command: scenarios to results, plots and logs; or a log to what would have changed. */
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compilePipeline } from '../../api/compile.ts'
import type { CompiledScaling } from '../../api/compiled.ts'
import { failure } from '../../api/errors.ts'
import { exitCodes } from '../../api/exitcodes.ts'
import { loadPipelines } from '../../api/load.ts'
import { parsePipeline } from '../../api/validate.ts'
import { decisionsOf, openDecisionLog, parseDecisionLog } from '../decisionlog.ts'
import { runOurs } from './compare.ts'
import { drawLoad } from './load.ts'
import { runOracle } from './oracle.ts'
import { plot } from './plot.ts'
import { type ReplayedDecision, replay, replayText } from './replay.ts'
import { replayPlot } from './replayplot.ts'
import { readScenario, type Scenario } from './scenario.ts'
import { markdownTable, textTable } from './table.ts'
import { runScenarios } from './trials.ts'

export interface SimulateOptions {
  readonly scenario?: readonly string[]
  readonly all?: boolean
  readonly seeds: number
  readonly output: 'table' | 'json' | 'markdown'
  /** A folder for one SVG per scenario, of the first seed. */
  readonly plot?: string
  /** A file for the decisions of the first scenario's first seed. */
  readonly decisionLog?: string
  readonly replay?: string
  /** Which pipeline of the log, `namespace/name`; needed where it has several. */
  readonly pipeline?: string
  /** A StreamPipeline whose scaling section a replay is asked about. */
  readonly file?: string
}

/** Scenarios in the repository and in the package, where the sources are one folder further down. */
function scenarioFolder(): string {
  const candidates = ['../../', '../../../'].map((up) =>
    fileURLToPath(new URL(`${up}examples/scaling/scenarios`, import.meta.url)),
  )
  return candidates.find((folder) => existsSync(folder)) ?? candidates[0] ?? ''
}

export async function readAllScenarios(): Promise<Scenario[]> {
  const folder = scenarioFolder()
  const files = (await readdir(folder)).filter((file) => file.endsWith('.yaml')).sort()
  return Promise.all(files.map((file) => readScenario(join(folder, file))))
}

/** A file, or one that comes with streampipeline, by its bare name. */
async function findScenario(name: string): Promise<Scenario> {
  if (existsSync(name) || !/^[\w-]+$/.test(name)) return readScenario(name)
  const own = join(scenarioFolder(), `${name}.yaml`)
  if (existsSync(own)) return readScenario(own)
  const names = (await readdir(scenarioFolder())).flatMap((file) => (file.endsWith('.yaml') ? [basename(file, '.yaml')] : []))
  throw failure('InvalidOption', {
    option: '--scenario',
    detail: `there is no file ${name}, and no such scenario among ${names.sort().join(', ')}`,
  })
}

export async function runSimulate(options: SimulateOptions, print: (text: string) => void): Promise<number> {
  refuseUnused(options)
  if (options.replay !== undefined) return replayLog(options.replay, options, print)
  const files = options.scenario ?? []
  if (!options.all && files.length === 0) {
    throw failure('InvalidOption', {
      option: '--scenario',
      detail: 'name a scenario or its file, or --all, or a log with --replay',
    })
  }
  const scenarios = [...(options.all ? await readAllScenarios() : []), ...(await Promise.all(files.map(findScenario)))]
  if (options.decisionLog !== undefined && scenarios[0] !== undefined) writeLog(options.decisionLog, scenarios[0])
  if (options.plot !== undefined) await writePlots(options.plot, scenarios)
  const results = await runScenarios(scenarios, options.seeds)
  if (options.output === 'table') for (const line of written(options, scenarios)) print(line)
  if (options.output === 'json') print(JSON.stringify({ scenarios: results }, undefined, 2))
  else print(options.output === 'markdown' ? markdownTable(results) : textTable(results))
  return exitCodes.done
}

/** An option without effect is a mistake: its author would take the silence for an answer. */
function refuseUnused({ replay: log, scenario, all, decisionLog, pipeline, file, output }: SimulateOptions): void {
  const unused = (option: string, why: string) => failure('InvalidOption', { option, detail: `${why}; leave it out` })
  if (log === undefined) {
    if (pipeline !== undefined) throw unused('--pipeline', 'it chooses among the pipelines of a log, which --replay names')
    if (file !== undefined) throw unused('--file', 'it is the pipeline that a log is asked about, which --replay names')
    return
  }
  if (scenario !== undefined || all === true) {
    throw unused(all === true ? '--all' : '--scenario', '--replay runs the decisions of a log, not scenarios')
  }
  if (decisionLog !== undefined) throw unused('--decision-log', '--replay makes no new decisions to log')
  if (output === 'markdown') throw unused('--output', '--replay prints a table or json, not markdown')
}

/** The written files, and their use. */
function written({ plot: folder, decisionLog }: SimulateOptions, scenarios: readonly Scenario[]): string[] {
  const [first] = scenarios
  return [
    ...(folder === undefined ? [] : [`plots of seed 1: ${scenarios.map((scenario) => plotFile(folder, scenario)).join(', ')}`]),
    ...(decisionLog === undefined || first === undefined
      ? []
      : [`decisions of ${first.name}, seed 1: ${decisionLog}; ask about another policy with --replay ${decisionLog} -f FILE`]),
  ]
}

/** A scenario's name may hold any text; its plot stays in the folder. */
const plotFile = (folder: string, { name }: Scenario): string => join(folder, `${name.replaceAll(/[^\w.-]+/g, '-')}.svg`)

async function writePlots(folder: string, scenarios: readonly Scenario[]): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const scenario of scenarios) {
    const load = drawLoad(scenario, 1)
    const svg = plot(scenario, load, runOurs(scenario, load, 1).run, runOracle(scenario, load, 1).run)
    await writeFile(plotFile(folder, scenario), svg)
  }
}

function writeLog(file: string, scenario: Scenario): void {
  const log = openDecisionLog(file)
  runOurs(scenario, drawLoad(scenario, 1), 1, ({ sample, state, policy, decision }) => {
    log.write({ pipeline: scenario.name, sample: sample ?? null, state: state ?? null, policy, decision })
  })
  log.close()
}

async function replayLog(file: string, options: SimulateOptions, print: (text: string) => void): Promise<number> {
  const log = decisionsOf(parseDecisionLog(await readText(file), file), options.pipeline)
  const decisions: ReplayedDecision[] = []
  const scaling = options.file === undefined ? undefined : await scalingOf(options.file)
  const replayed = replay(log, scaling, (decision) => decisions.push(decision))
  if (options.plot !== undefined) {
    const name = basename(file).replace(/\.\w+$/, '')
    const svg = replayPlot(name, decisions)
    const plotted = join(options.plot, `${name}.svg`)
    await mkdir(options.plot, { recursive: true })
    await writeFile(plotted, svg)
    if (options.output !== 'json') print(`plot: ${plotted}`)
  }
  print(options.output === 'json' ? JSON.stringify(replayed, undefined, 2) : replayText(replayed))
  return exitCodes.done
}

async function scalingOf(file: string): Promise<CompiledScaling> {
  const [loaded] = loadPipelines(await readText(file), file)
  if (loaded === undefined) throw failure('UnreadableFile', { file, detail: 'it holds no StreamPipeline' })
  return compilePipeline(parsePipeline(loaded.document)).scaling
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (thrown) {
    throw failure('UnreadableFile', { file, detail: thrown instanceof Error ? thrown.message : String(thrown) }, thrown)
  }
}
